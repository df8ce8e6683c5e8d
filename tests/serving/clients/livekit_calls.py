"""Speaks with livekit's openai plugin: python livekit_calls.py ADDRESS [interrupt]

Imports nothing but the library. Writes JSON: what came of each request.
"""

import asyncio
import json
import sys

from livekit.agents import APIStatusError
from livekit.agents.types import APIConnectOptions
from livekit.plugins import openai

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


async def speak(address, model, **options):
    """Seconds of sound, its sample rate and its root mean square."""
    tts = openai.TTS(base_url=address, api_key="none", model=model, **options)
    tts.prewarm()
    try:
        stream = tts.synthesize("Hello there.", conn_options=APIConnectOptions(max_retry=0))
        frame = await stream.collect()
        samples = frame.data
        power = sum(sample * sample for sample in samples) / len(samples)
        return {
            "seconds": frame.duration,
            "rate": frame.sample_rate,
            "level": power ** 0.5,
        }
    except APIStatusError as error:
        return {"status": error.status_code, "message": error.message}
    finally:
        await tts.aclose()


async def interrupt(address):
    """Seconds of the first frame; then the user speaks."""
    tts = openai.TTS(base_url=address, api_key="none")
    text = "This text goes on and on, sentence after sentence. " * 100
    async with tts.synthesize(text) as stream:
        first = await anext(stream)
    await tts.aclose()
    return {"seconds": first.frame.duration}


async def main(address, mode=""):
    if mode == "interrupt":
        results = await interrupt(address)
    else:
        results = {}
        for model in ("gpt-4o-mini-tts", "tts-1"):      # events with sound; sound
            for name in FORMATS:
                results[f"{model} {name}"] = await speak(address, model, response_format=name)
        results["default"] = await speak(address, openai.TTS(api_key="none").model)
        results["error"] = await speak(address, "whisper-1")
    print(json.dumps(results))


asyncio.run(main(*sys.argv[1:]))
