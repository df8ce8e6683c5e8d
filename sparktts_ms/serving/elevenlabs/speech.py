"""A text that is there at once, over HTTP: sound as it is made, or with the times of its
characters."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sparktts_ms.errors import InputError, quoted
from sparktts_ms.generation.request import SpeechRequest
from sparktts_ms.serving.elevenlabs.alignment import align
from sparktts_ms.serving.elevenlabs.formats import Encoder, OutputFormat
from sparktts_ms.serving.elevenlabs.messages import parse_speed
from sparktts_ms.serving.elevenlabs.options import SpeechOptions, parse_options
from sparktts_ms.serving.server import SpeechServer
from sparktts_ms.serving.speech_stream import SpeechStream


class Speech:
    """One request: its stream has begun when there is a first chunk of samples."""

    def __init__(self, request: SpeechRequest, stream: SpeechStream, output: OutputFormat,
                 encoder: Encoder, speed: float):
        self.text = request.text
        self.stream = stream
        self.output = output
        self.encoder = encoder
        self.speed = speed

    async def chunks(self) -> AsyncIterator[bytes]:
        """The sound. Leaving cancels the request."""
        async with self.stream:
            async for samples in self.stream:
                if audio := self.encoder.encode(samples):
                    yield audio
            yield self.encoder.finish()

    async def timed_chunks(self) -> AsyncIterator[dict[str, Any]]:
        """The sound, and at its end when which character is spoken."""
        async for audio in self.chunks():
            yield {"audio_base64": base64.b64encode(audio).decode()}
        seconds = self.stream.seconds / self.speed
        alignment = align(f"{self.text} ", 0.0, seconds).in_seconds()
        yield {"audio_base64": "", "alignment": alignment, "normalized_alignment": alignment}


class SpeechResponse(StreamingResponse):
    """Ends the speech when the client leaves."""

    def __init__(self, speech: Speech, content: AsyncIterator[Any], media_type: str):
        super().__init__(content, media_type=media_type, headers={"X-Accel-Buffering": "no"})
        self.speech = speech

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.speech.stream.end()


async def start_speech(request: Request, body: dict[str, Any], server: SpeechServer) -> Speech:
    """Raises SparkTTSError for what the request does wrong, and if the server is busy."""
    text = body.get("text")
    if not isinstance(text, str):
        raise InputError(f"text is {quoted(text)}." if "text" in body else "There is no text.",
                         "It must be a string.", code="invalid_parameters")
    settings = body.get("voice_settings")
    if settings is not None and not isinstance(settings, dict):
        raise InputError(f"voice_settings is {quoted(settings)}.", "It must be an object.",
                         code="invalid_parameters")
    speed = parse_speed(settings) or 1.0
    options: SpeechOptions = parse_options(body, request.query_params.get("output_format"))
    encoder = options.output.encoder(server.speech.sample_rate, speed)
    voice = await server.voices.find(request.path_params["voice_id"], server.speech)
    speech_request = options.request(text, voice)
    stream = await server.speech.submit(speech_request, api="elevenlabs")
    return Speech(speech_request, stream, options.output, encoder, speed)


async def read_body(request: Request) -> dict[str, Any]:
    """Raises InputError."""
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise InputError("The body is not JSON.", 'Send an object, such as {"text": "Hello."}.',
                         code="invalid_parameters") from None
    if not isinstance(body, dict):
        raise InputError(f"The body is {quoted(body)}.",
                         'It must be an object, such as {"text": "Hello."}.',
                         code="invalid_parameters")
    return body


async def stream_response(speech: Speech) -> Response:
    """The sound as it is made; the status is an error's if there is one before the first of it."""
    chunks = speech.chunks()
    first = await anext(chunks)
    return SpeechResponse(speech, _chain(first, chunks), speech.output.media_type())


async def timed_stream_response(speech: Speech) -> Response:
    """One JSON object a line."""
    chunks = speech.timed_chunks()
    first = await anext(chunks)

    async def lines() -> AsyncIterator[str]:
        async for chunk in _chain(first, chunks):
            yield json.dumps(chunk, ensure_ascii=False) + "\n"

    return SpeechResponse(speech, lines(), "application/json")


async def timed_response(speech: Speech) -> Response:
    """One JSON object."""
    audio = b""
    last: dict[str, Any] = {}
    async for last in speech.timed_chunks():
        audio += base64.b64decode(last["audio_base64"])
    return JSONResponse({**last, "audio_base64": base64.b64encode(audio).decode()})


async def _chain(first: Any, others: AsyncIterator[Any]) -> AsyncIterator[Any]:
    yield first
    async for other in others:
        yield other
