"""Speaks with pipecat's ElevenLabs services in a pipeline: python pipecat_calls.py ADDRESS

Imports nothing but the library. Writes JSON: what came of each turn.
"""

import asyncio
import base64
import json
import sys

import aiohttp
from pipecat.frames.frames import (
    ErrorFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.services.elevenlabs.tts import ElevenLabsHttpTTSService, ElevenLabsTTSService
from pipecat.services.tts_service import TextAggregationMode
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.utils.time import nanoseconds_to_seconds

TEXT = "Hello there, Dr. Smith. It costs 3.14 dollars, or 1,000 yen. Is that all?"
LONG = "This is a sentence that goes on for some time. " * 20


def turn(text, size=4):
    """The frames of a language model's response, in tokens of `size` characters."""
    tokens = [text[begin:begin + size] for begin in range(0, len(text), size)]
    return [LLMFullResponseStartFrame(), *map(LLMTextFrame, tokens), LLMFullResponseEndFrame()]


async def run(service, frames):
    """What a pipeline gets: sound, words with their times, errors."""
    down, up = await run_test(service, frames_to_send=frames, start_timeout=30)
    sound = [frame for frame in down if isinstance(frame, TTSAudioRawFrame)]
    words = [frame for frame in down if isinstance(frame, TTSTextFrame)]
    first = min((frame.pts for frame in words if frame.pts), default=0)
    return {
        "audio": base64.b64encode(b"".join(frame.audio for frame in sound)).decode(),
        "rates": sorted({frame.sample_rate for frame in sound}),
        "words": [frame.text for frame in words],
        "times": [nanoseconds_to_seconds(frame.pts - first) for frame in words if frame.pts],
        "stops": sum(isinstance(frame, TTSStoppedFrame) for frame in down),
        "errors": [frame.error for frame in up if isinstance(frame, ErrorFrame)],
    }


def websocket(address, mode=TextAggregationMode.SENTENCE, voice="female", **settings):
    """The service with a changed address."""
    return ElevenLabsTTSService(
        api_key="none", url=address.replace("http", "ws"), sample_rate=16000,
        text_aggregation_mode=mode, settings=ElevenLabsTTSService.Settings(voice=voice, **settings))


async def http(address):
    """The service without WebSockets."""
    async with aiohttp.ClientSession() as session:
        service = ElevenLabsHttpTTSService(
            api_key="none", base_url=address, aiohttp_session=session, sample_rate=16000,
            settings=ElevenLabsHttpTTSService.Settings(voice="female"))
        return await run(service, turn(TEXT))


async def interrupt(address):
    """A user who interrupts a long response; then the next one is spoken."""
    frames = [*turn(LONG), SleepFrame(2.0), InterruptionFrame(), SleepFrame(0.5)]
    return await run(websocket(address), [*frames, *turn("Yes, of course.")])


async def main(address):
    address = address.rstrip("/")
    results = {
        "sentences": await run(websocket(address), turn(TEXT)),
        "tokens": await run(websocket(address, TextAggregationMode.TOKEN), turn(TEXT)),
        "settings": await run(websocket(address, speed=1.25, stability=0.5, language="en"),
                              turn(TEXT)),
        "unknown voice": await run(websocket(address, voice="nobody"), turn("Hello.")),
        "speak": await run(websocket(address), [TTSSpeakFrame("Hello there."),
                                                TTSSpeakFrame("How are you?")]),
        "two turns": await run(websocket(address), [*turn("Hello there."), *turn("How are you?")]),
        "http": await http(address),
        "interrupted": await interrupt(address),
    }
    print(json.dumps(results))


asyncio.run(main(*sys.argv[1:]))
