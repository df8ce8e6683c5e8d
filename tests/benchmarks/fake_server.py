"""A small OpenAI-compatible speech server with known delays, behind an httpx transport."""

import asyncio
import base64
import json
import struct

import httpx


class Parts(httpx.AsyncByteStream):
    """Bytes of a response, each part after so many seconds. A part may be an error to raise."""

    def __init__(self, parts):
        self.parts = parts

    async def __aiter__(self):
        for delay, content in self.parts:
            await asyncio.sleep(delay)
            if isinstance(content, Exception):
                raise content
            yield content


class FakeServer:
    """answer(body) -> (status, headers, parts). Requests are kept with the time of their arrival.

    `transport` goes into httpx.AsyncClient.
    """

    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        self.times = []
        self.running = self.most_running = 0
        self.transport = httpx.MockTransport(self.handle)

    @property
    def bodies(self):
        return [json.loads(request.content) for request in self.requests]

    async def handle(self, request):
        self.requests.append(request)
        self.times.append(asyncio.get_running_loop().time())
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        status, headers, parts = self.answer(json.loads(request.content))
        return httpx.Response(status, headers=headers, stream=Parts(self.counted(parts)))

    def counted(self, parts):
        yield from parts
        self.running -= 1


def speech(parts, status=200, headers=()):
    """Answers every request with these parts: (seconds, bytes)."""
    return FakeServer(lambda body: (status, dict(headers), parts))


def event(**fields):
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def delta(content):
    return event(type="speech.audio.delta", audio=base64.b64encode(content).decode())


def wav_header(rate, kind=1, channels=1, bits=16, more=b""):
    """The header of a wav file of unknown length, with another chunk before the samples."""
    sizes = (rate, rate * channels * bits // 8, channels * bits // 8, bits)
    format_chunk = struct.pack("<4sIHHIIHH", b"fmt ", 16, kind, channels, *sizes)
    return b"RIFF\xff\xff\xff\xffWAVE" + format_chunk + more + b"data\xff\xff\xff\xff"
