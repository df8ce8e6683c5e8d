"""Clients of POST /v1/audio/speech: all formats, events, slow readers, those that leave."""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import random
import signal
import socket
import sys
from typing import Any

import httpx

from benchmarks.serving_texts import PARAGRAPHS, SENTENCES
from benchmarks.speech_client import RequestError, event_audio
from tools.server_soak.audio import MEDIA_TYPES, WrongAudio, check_speech, decode
from tools.server_soak.context import Action, Context, Refused, check_status
from tools.server_soak.ledger import Failed

PATH = "/v1/audio/speech"
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
RATES = (None, 16_000, 24_000, 48_000)      # of pcm; None: 24,000
TWO_PARAGRAPHS = tuple("\n\n".join(pair) for pair in itertools.permutations(PARAGRAPHS, 2))
VOICES = ("alloy", "nova", "female", "male")
SEEDS = (1, 2)
SLOW_BYTES = 16 << 10           # of each read of a slow reader,
SLOW_PAUSE = 0.3                # seconds between them,
SLOW_READS = 40                 # and how many, before it reads on without pauses
SMALL_BUFFER = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)]


def some_request(generator: random.Random, long: bool = False) -> dict[str, Any]:
    texts = TWO_PARAGRAPHS if long else SENTENCES
    return {"model": generator.choice(("tts-1", "spark-tts", "gpt-4o-mini-tts")),
            "input": generator.choice(texts), "voice": generator.choice(VOICES),
            "seed": generator.choice(SEEDS)}


def identity(body: dict[str, Any]) -> tuple:
    """What the length of the speech follows from."""
    return tuple(body.get(name) for name in ("input", "voice", "seed", "speed"))


async def check(context: Context, content: bytes, body: dict[str, Any], rate: int) -> float:
    """The seconds of a whole response. Raises WrongAudio."""
    kind = body["response_format"]
    sound = await asyncio.to_thread(decode, content, kind, rate)
    check_speech(sound, body["input"])
    context.expected.check(identity(body), sound, kind)
    return sound.seconds


async def speak(context: Context, generator: random.Random, response_format: str) -> str:
    """A request whose response is played as it comes and checked as a whole."""
    body = {**some_request(generator), "response_format": response_format}
    rate = 24_000
    if response_format == "pcm" and (stated := generator.choice(RATES)) is not None:
        rate = body["sample_rate"] = stated
    began = asyncio.get_running_loop().time()
    first = None
    parts = []
    async with context.http.stream("POST", PATH, json=body) as response:
        await read_refusal(response)
        if not response.headers["content-type"].startswith(MEDIA_TYPES[response_format]):
            raise WrongAudio(f"{response.headers['content-type']} for {response_format}")
        async for part in response.aiter_raw():
            first = first or asyncio.get_running_loop().time() - began
            parts.append(part)
    seconds = await check(context, b"".join(parts), body, rate)
    context.ledger.heard(f"openai {response_format}", first or 0.0, seconds)
    return "ok"


async def speak_in_events(context: Context, generator: random.Random) -> str:
    body = {**some_request(generator), "response_format": generator.choice(FORMATS),
            "stream_format": "sse"}
    began = asyncio.get_running_loop().time()
    first = None
    parts = []
    done = False

    async def lines(response: httpx.Response):
        nonlocal done
        async for line in response.aiter_lines():
            done = done or '"speech.audio.done"' in line
            yield line

    async with context.http.stream("POST", PATH, json=body) as response:
        await read_refusal(response)
        try:
            async for part in event_audio(lines(response)):
                first = first or asyncio.get_running_loop().time() - began
                parts.append(part)
        except RequestError as error:
            if context.outages.since(began):
                return "told"
            raise Failed("lost", error.message) from None
    if not done:
        raise Failed("lost", "the events end without speech.audio.done")
    seconds = await check(context, b"".join(parts), body, 24_000)
    context.ledger.heard("openai sse", first or 0.0, seconds)
    return "ok"


async def read_slowly(context: Context, generator: random.Random) -> str:
    """A client with a small buffer that lets the server wait; its speech is complete, too."""
    body = {**some_request(generator, long=True), "response_format": "pcm", "sample_rate": 48_000}
    transport = httpx.AsyncHTTPTransport(socket_options=SMALL_BUFFER)
    content = bytearray()
    async with (
        httpx.AsyncClient(transport=transport, base_url=context.url, timeout=None,
                          headers=context.http.headers) as client,
        client.stream("POST", PATH, json=body) as response,
    ):
        await read_refusal(response)
        reads = 0
        async for part in response.aiter_raw(SLOW_BYTES):
            content += part
            reads += 1
            if reads < SLOW_READS and not context.outages.since(float("inf")):
                await asyncio.sleep(SLOW_PAUSE)
    seconds = await check(context, bytes(content), body, 48_000)
    context.ledger.audio_s += seconds
    return "ok"


async def leave(context: Context, generator: random.Random) -> str:
    """A client that goes away in the middle of a long text, or before its first sound."""
    body = {**some_request(generator, long=True),
            "response_format": generator.choice(FORMATS)}
    parts = generator.randrange(4)
    try:
        async with context.http.stream("POST", PATH, json=body,
                                       timeout=httpx.Timeout(60, read=None)) as response:
            await read_refusal(response)
            async for _ in response.aiter_raw():
                if parts == 0:
                    break
                parts -= 1
    except httpx.ReadTimeout:
        pass
    return "left"


async def die(context: Context, generator: random.Random) -> str:
    """A process that is killed with two requests under way."""
    body = json.dumps({**some_request(generator, long=True), "response_format": "pcm"})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tools.server_soak.victim", context.url + PATH, context.key,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL)
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(body.encode() + b"\n")
        started = await asyncio.wait_for(process.stdout.readline(), 120)
        await asyncio.sleep(generator.random())
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
    if not started:
        raise ConnectionResetError("the client met an error")
    if started.strip() in (b"429", b"503"):
        raise Refused("busy" if started.strip() == b"429" else "draining")
    return "killed"


async def read_refusal(response: httpx.Response) -> None:
    """Raises Refused or Failed unless the status is 200."""
    if response.status_code != 200:
        await response.aread()
        check_status(response)


async def seconds_until_free(context: Context, running) -> float:
    """How long after a client left an idle server still runs its request. `running()`: a
    coroutine that returns how many run. Raises Failed if the slot is never free."""
    body = {"model": "tts-1", "input": TWO_PARAGRAPHS[0], "voice": "alloy",
            "response_format": "pcm"}
    loop = asyncio.get_running_loop()
    async with context.http.stream("POST", PATH, json=body) as response:
        await read_refusal(response)
        parts = response.aiter_raw()        # kept: without it the connection would be closed
        await anext(parts)
        if await running() < 1:
            raise Failed("unexpected", "a running request is not in the metrics")
    left = loop.time()
    while await running() > 0:
        if loop.time() - left > 30:
            raise Failed("lost", "the slot of a client that left is not free after 30 s")
        await asyncio.sleep(0.02)
    return loop.time() - left


ACTIONS: dict[str, tuple[float, Action]] = {
    **{f"openai {kind}": (3.0, functools.partial(speak, response_format=kind)) for kind in FORMATS},
    "openai sse": (3.0, speak_in_events),
    "slow reader": (0.5, read_slowly),
    "leaver": (3.0, leave),
    "killed client": (0.5, die),
}
