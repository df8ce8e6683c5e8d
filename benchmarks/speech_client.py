"""One request to an OpenAI-compatible speech server, and when its sound arrived.

Any server with `POST /v1/audio/speech` will do, so that servers can be compared. The bytes are not
kept. All times are those of the event loop's clock.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from benchmarks.playback import Player

PATH = "/v1/audio/speech"
RATES = range(1000, 200_001)        # Hz that a header may state
MAX_HEADER = 4096                   # bytes before the samples of a wav file
MAX_MESSAGE = 200                   # characters of a server's message


class RequestError(Exception):
    """A request that brought no usable sound. kind: what is counted, such as "http_429"."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind
        self.message = " ".join(message.split())[:MAX_MESSAGE]


@dataclass(frozen=True)
class Target:
    """Which server is measured, and how it is asked.

    sample_rate: of pcm where the response states none, in Hz. timeout: seconds for a whole request.
    extra: further fields of the request.
    """

    url: str
    model: str = "tts-1"
    voice: str = "alloy"
    response_format: str = "pcm"
    stream_format: str | None = None
    sample_rate: int = 24_000
    api_key: str | None = None
    timeout: float = 600.0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """The address of the endpoint; `url` may be the server's, the API's or the endpoint's."""
        base = self.url.rstrip("/")
        if base.endswith("/audio/speech"):
            return base
        if urlsplit(base).path.endswith("/v1"):
            return f"{base}/audio/speech"
        return base + PATH

    def body(self, text: str) -> dict[str, Any]:
        fields: dict[str, Any] = {"model": self.model, "voice": self.voice, "input": text,
                                  "response_format": self.response_format}
        if self.stream_format is not None:
            fields["stream_format"] = self.stream_format
        return {**fields, **self.extra}

    def client(self, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
        """A client for any number of requests at once; no proxy stands between."""
        headers = {"Accept-Encoding": "identity"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        return httpx.AsyncClient(headers=headers, timeout=None, limits=unlimited, trust_env=False,
                                 transport=transport)


@dataclass(frozen=True)
class Result:
    """What became of one request. Seconds since it was due; those of sound are None on an error.

    error: None, or what is counted: "http_<status>", "connection", "disconnected", "timeout",
    "no_audio", "half_sample", "not_pcm", "server" (an error inside a stream of events).
    """

    characters: int
    end_to_end_s: float
    first_audio_s: float | None = None
    audio_s: float | None = None
    underruns: int = 0
    gaps_s: float = 0.0
    error: str | None = None
    message: str = ""

    @property
    def real_time_factor(self) -> float | None:
        """Seconds until the end for each second of sound."""
        return None if not self.audio_s else self.end_to_end_s / self.audio_s

    @property
    def playback_s(self) -> float:
        """Seconds until a listener has heard everything."""
        return (self.first_audio_s or 0.0) + (self.audio_s or 0.0) + self.gaps_s


async def request_speech(client: httpx.AsyncClient, target: Target, text: str,
                         due: float | None = None) -> Result:
    """Send one request and take its sound as it comes. `due`: when it should have been sent, by
    the loop's clock, if that is earlier than now. Never raises what a server can cause."""
    clock = asyncio.get_running_loop().time
    began = clock() if due is None else due
    try:
        player = await asyncio.wait_for(_receive(client, target, text), target.timeout)
    except asyncio.TimeoutError:
        error = RequestError("timeout", f"No end after {target.timeout:g} s.")
    except RequestError as caught:
        error = caught
    except (httpx.ConnectError, httpx.ConnectTimeout) as caught:
        error = RequestError("connection", str(caught) or type(caught).__name__)
    except httpx.HTTPError as caught:
        error = RequestError("disconnected", str(caught) or type(caught).__name__)
    else:
        assert player.started is not None
        return Result(len(text), clock() - began, player.started - began, player.audio_s,
                      player.underruns, player.gaps_s)
    return Result(len(text), clock() - began, error=error.kind, message=error.message)


async def _receive(client: httpx.AsyncClient, target: Target, text: str) -> Player:
    clock = asyncio.get_running_loop().time
    async with client.stream("POST", target.endpoint, json=target.body(text)) as response:
        if response.status_code != 200:
            await response.aread()
            raise RequestError(f"http_{response.status_code}", _message(response.text))
        parts = response.aiter_bytes()
        if "text/event-stream" in response.headers.get("content-type", ""):
            parts = event_audio(response.aiter_lines())
        player = Player(_stated_rate(response.headers) or target.sample_rate)
        header = WavHeader() if target.response_format == "wav" else None
        async for part in parts:
            size = len(part)
            if header is not None:
                size = header.skip(part)
                player.sample_rate = header.sample_rate or player.sample_rate
            player.receive(clock(), size)
    if player.started is None:
        raise RequestError("no_audio", "The response ended without sound.")
    if player.received % 2:
        raise RequestError("half_sample", f"{player.received} bytes are not whole samples.")
    return player


async def event_audio(lines: AsyncIterator[str]) -> AsyncIterator[bytes]:
    """The bytes of each event of sound in a stream of server-sent events."""
    async for line in lines:
        if not line.startswith("data:"):
            continue                        # comments keep a connection alive; fields are optional
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            continue
        try:
            event = json.loads(data)
            encoded = event.get("audio") or event.get("delta") or ""
            part = base64.b64decode(encoded, validate=True)
        except (ValueError, TypeError, AttributeError, binascii.Error):
            raise RequestError("server", f"An event that is not of speech: {data[:80]}") from None
        if event.get("error") or str(event.get("type")).endswith("error"):
            raise RequestError("server", _message(data))
        yield part


class WavHeader:
    """Finds the samples of a wav file that arrives in parts. sample_rate: 0 until it is known."""

    def __init__(self) -> None:
        self.sample_rate = 0
        self._bytes = b""
        self._complete = False

    def skip(self, part: bytes) -> int:
        """How many bytes of this part are samples. Raises RequestError: not 16-bit mono PCM."""
        if self._complete:
            return len(part)
        self._bytes += part
        position = 12
        if len(self._bytes) >= position and (self._bytes[:4], self._bytes[8:12]) != (b"RIFF",
                                                                                     b"WAVE"):
            raise RequestError("not_pcm", "The response is not a wav file.")
        while len(self._bytes) >= position + 8:
            name, size = struct.unpack_from("<4sI", self._bytes, position)
            position += 8
            if name == b"data":
                self._complete = True
                return len(self._bytes) - position
            if name == b"fmt " and len(self._bytes) >= position + 16:
                kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", self._bytes,
                                                                      position)
                if (kind, channels, bits) != (1, 1, 16) or rate not in RATES:
                    raise RequestError("not_pcm", "The wav file is not 16-bit mono PCM.")
                self.sample_rate = rate
            position += size + size % 2
        if len(self._bytes) > MAX_HEADER:
            raise RequestError("not_pcm", "The wav file has no samples.")
        return 0


def _stated_rate(headers: httpx.Headers) -> int | None:
    """The sample rate that a response states: X-Sample-Rate, or the rate of its content type."""
    stated = headers.get("x-sample-rate", "").strip()
    if not stated:
        found = re.search(r"rate=\"?(\d+)", headers.get("content-type", ""))
        stated = found[1] if found else ""
    if not re.fullmatch(r"[0-9]{4,6}", stated) or int(stated) not in RATES:
        return None
    return int(stated)


def _message(text: str) -> str:
    """The message in the body of an error, in the forms that servers of this kind use."""
    try:
        body = json.loads(text)
    except ValueError:
        return text
    if not isinstance(body, dict):
        return text
    error = body.get("error", body.get("detail", body.get("message", text)))
    if isinstance(error, dict):
        error = error.get("message", error)
    return str(error)
