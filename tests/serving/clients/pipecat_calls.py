"""Speaks with pipecat in a pipeline: python pipecat_calls.py ADDRESS [interrupt]

Imports nothing but the library. Writes JSON: what came of each request.
"""

import asyncio
import json
import sys

from pipecat.frames.frames import (
    ErrorFrame,
    InterruptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
)
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.tests.utils import SleepFrame, run_test

LONG_TEXT = "This text goes on and on, sentence after sentence. " * 100


async def speak(address, *frames, **settings):
    """Seconds of sound, sample rates, and errors."""
    service = OpenAITTSService(base_url=address, api_key="none",
                               settings=OpenAITTSService.Settings(**settings))
    down, up = await run_test(service, frames_to_send=frames, start_timeout=30)
    sound = [frame for frame in down if isinstance(frame, TTSAudioRawFrame)]
    return {
        "seconds": sum(len(frame.audio) / 2 / frame.sample_rate for frame in sound),
        "rates": sorted({frame.sample_rate for frame in sound}),
        "channels": sorted({frame.num_channels for frame in sound}),
        "errors": [frame.error for frame in up if isinstance(frame, ErrorFrame)],
    }


async def main(address, mode=""):
    hello = TTSSpeakFrame("Hello there.")
    if mode == "interrupt":
        frames = [TTSSpeakFrame(LONG_TEXT), SleepFrame(3), InterruptionFrame()]
        results = await speak(address, *frames)
    else:
        results = {
            "default": await speak(address, hello),
            "settings": await speak(address, hello, TTSSpeakFrame("How are you?"), voice="onyx",
                                    model="tts-1", instructions="Cheerfully.", speed=1.25),
            "unknown model": await speak(address, hello, model="whisper-1"),
        }
    print(json.dumps(results))


asyncio.run(main(*sys.argv[1:]))
