"""The response to /v1/audio/speech: sound, or events with sound, while it is made.

The status is sent with the first bytes of sound, so that what goes wrong before has a status of its
own. What goes wrong later breaks the response off, which clients notice, as a chunked body has an
end of its own; among events it is also an event, `speech.audio.error`. Events begin after ten
seconds at the latest, and comments keep their connection alive, for clients that wait 30 s.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import anyio
import numpy as np
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sparktts_ms.errors import SparkTTSError
from sparktts_ms.generation.request import SpeechRequest
from sparktts_ms.serving.disconnect import until_disconnected
from sparktts_ms.serving.encoding.encoder import AudioEncoder
from sparktts_ms.serving.openai.errors import error_content, error_response
from sparktts_ms.serving.openai.speech import SpeechParameters
from sparktts_ms.serving.server import SpeechServer
from sparktts_ms.serving.speech_stream import Usage

API = "openai"
KEEP_ALIVE_SECONDS = 10.0
COMMENT = b": keep-alive\n\n"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}      # nginx buffers otherwise


class SpeechResponse(Response):
    """Speaks, and stops when the client leaves."""

    def __init__(self, server: SpeechServer, parameters: SpeechParameters, encoder: AudioEncoder):
        super().__init__()
        self.server = server
        self.parameters: SpeechParameters | None = parameters
        self.as_events = parameters.as_events
        self.encoder = encoder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = EventSender if self.as_events else SoundSender
        sender = kind(self.encoder, send)
        work = asyncio.ensure_future(self._speak(sender, scope, receive))
        others = [asyncio.ensure_future(until_disconnected(receive)),
                  asyncio.ensure_future(sender.keep_alive())]
        try:
            await asyncio.wait([work, *others], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, *others):
                task.cancel()
            await asyncio.gather(work, *others, return_exceptions=True)
        if not work.cancelled():
            work.result()

    async def _speak(self, sender: SoundSender, scope: Scope, receive: Receive) -> None:
        try:
            request = await self._request()
            async with await self.server.speech.submit(request, api=API) as stream:
                async for samples in stream:
                    await sender.encode(samples)
                await sender.finish(stream.usage)
        except Exception as error:
            if await sender.fail(error) or not isinstance(error, SparkTTSError):
                raise               # the log has a line then, and the response breaks off
            await error_response(error)(scope, receive, sender.send)

    async def _request(self) -> SpeechRequest:
        """The request to the service. A recording in the parameters is not kept while speaking."""
        parameters, self.parameters = self.parameters, None
        assert parameters is not None
        return await parameters.request(self.server)


class SoundSender:
    """Sends the bytes of a sound file."""

    def __init__(self, encoder: AudioEncoder, send: Send):
        self.encoder = encoder
        self.send = send
        self._started = False
        self._ended = False
        self._last = time.monotonic()           # when something was sent
        self._lock = asyncio.Lock()

    @property
    def media_type(self) -> str:
        return self.encoder.media_type

    async def encode(self, samples: np.ndarray) -> None:
        """Send samples [N], as far as the format lets them go now."""
        data = await anyio.to_thread.run_sync(self.encoder.encode, samples)
        if data:
            await self._write(self._frame(data))

    async def finish(self, usage: Usage) -> None:
        """Send the rest, and end the response."""
        data = await anyio.to_thread.run_sync(self.encoder.finish)
        await self._write(self._frame(data) if data else b"", more=False)

    async def fail(self, error: Exception) -> bool:
        """Send nothing more; returns whether the response has begun."""
        async with self._lock:
            self._ended = True
            return self._started

    async def keep_alive(self) -> None:
        """Until cancelled. A sound file has nothing to send in between."""
        await asyncio.Event().wait()

    def _frame(self, data: bytes) -> bytes:
        return data

    async def _write(self, body: bytes, more: bool = True) -> None:
        async with self._lock:
            if self._ended:
                return
            if not self._started:
                self._started = True
                headers = MutableHeaders({**HEADERS, "Content-Type": self.media_type,
                                          "X-Sample-Rate": str(self.encoder.sample_rate)})
                if not more:
                    headers["Content-Length"] = str(len(body))
                await self.send({"type": "http.response.start", "status": 200,
                                 "headers": headers.raw})
            self._ended = not more
            await self.send({"type": "http.response.body", "body": body, "more_body": more})
            self._last = time.monotonic()


class EventSender(SoundSender):
    """Sends server-sent events; together their sound is one sound file."""

    @property
    def media_type(self) -> str:
        return "text/event-stream; charset=utf-8"

    async def finish(self, usage: Usage) -> None:
        """Send the rest and the number of tokens, and end the response."""
        data = await anyio.to_thread.run_sync(self.encoder.finish)
        counts = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens,
                  "total_tokens": usage.input_tokens + usage.output_tokens}
        done = _event({"type": "speech.audio.done", "usage": counts})
        await self._write((self._frame(data) if data else b"") + done, more=False)

    async def fail(self, error: Exception) -> bool:
        """Send the error if the response has begun; returns whether it has."""
        if self._started:
            await self._write(_event({"type": "speech.audio.error", **error_content(error)}))
        return await super().fail(error)

    async def keep_alive(self) -> None:
        """Until cancelled, send a comment where nothing else is sent for a while."""
        while True:
            await asyncio.sleep(max(self._last + KEEP_ALIVE_SECONDS - time.monotonic(), 0.05))
            if time.monotonic() >= self._last + KEEP_ALIVE_SECONDS:
                await self._write(COMMENT)

    def _frame(self, data: bytes) -> bytes:
        audio = base64.b64encode(data).decode()
        return _event({"type": "speech.audio.delta", "audio": audio})


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"
