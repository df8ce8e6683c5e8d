"""Speaks with pipecat in a pipeline: python pipecat_calls.py ADDRESS

Imports nothing but the library. Writes JSON: what came of each request.
"""

import asyncio
import json
import sys

from pipecat.frames.frames import ErrorFrame, TTSAudioRawFrame, TTSSpeakFrame
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.tests.utils import run_test


async def speak(address, texts, **settings):
    """Seconds of sound, sample rates, and errors."""
    service = OpenAITTSService(base_url=address, api_key="none",
                               settings=OpenAITTSService.Settings(**settings))
    down, up = await run_test(service, frames_to_send=[TTSSpeakFrame(text) for text in texts],
                              start_timeout=30)
    sound = [frame for frame in down if isinstance(frame, TTSAudioRawFrame)]
    return {
        "seconds": sum(len(frame.audio) / 2 / frame.sample_rate for frame in sound),
        "rates": sorted({frame.sample_rate for frame in sound}),
        "channels": sorted({frame.num_channels for frame in sound}),
        "errors": [frame.error for frame in up if isinstance(frame, ErrorFrame)],
    }


async def main(address):
    results = [
        await speak(address, ["Hello there."]),
        await speak(address, ["Hello.", "How are you?"], voice="onyx", model="tts-1",
                    instructions="Cheerfully.", speed=1.25),
        await speak(address, ["Hello."], model="whisper-1"),
    ]
    print(json.dumps(results))


asyncio.run(main(*sys.argv[1:]))
