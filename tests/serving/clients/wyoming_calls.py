"""Speaks as Home Assistant does, through wyoming_openai: python wyoming_calls.py ADDRESS PORT

Starts wyoming_openai on the port. Imports nothing but the library. Writes JSON.
"""

import asyncio
import json
import sys
from pathlib import Path

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.info import Describe, Info
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

TEXTS = ("Hello there, this is the first sentence. ", "And here is another one. ", "It ends now.")


async def connect(uri):
    for _ in range(200):
        try:
            client = AsyncClient.from_uri(uri)
            await client.connect()
            return client
        except OSError:
            await asyncio.sleep(0.1)
    raise TimeoutError(uri)


async def sound_of(client, last):
    """Seconds of sound and its sample rates, until an event of type `last`."""
    seconds = 0.0
    rates = set()
    while (event := await asyncio.wait_for(client.read_event(), 120)) is not None:
        if AudioStart.is_type(event.type):
            rates.add(AudioStart.from_event(event).rate)
        elif AudioChunk.is_type(event.type):
            seconds += AudioChunk.from_event(event).seconds
        elif last.is_type(event.type):
            break
    return {"seconds": seconds, "rates": sorted(rates)}


async def speak(uri, voice):
    client = await connect(uri)
    await client.write_event(Synthesize("Hello there.", voice=voice).event())
    result = await sound_of(client, AudioStop)
    await client.disconnect()
    return result


async def speak_in_pieces(uri, voice):
    client = await connect(uri)
    await client.write_event(SynthesizeStart(voice=voice).event())
    for text in TEXTS:
        await client.write_event(SynthesizeChunk(text).event())
    await client.write_event(SynthesizeStop().event())
    result = await sound_of(client, SynthesizeStopped)
    await client.disconnect()
    return result


async def voices_of(uri):
    client = await connect(uri)
    await client.write_event(Describe().event())
    info = Info.from_event(await client.read_event())
    await client.disconnect()
    return [voice.name for program in info.tts for voice in program.voices]


async def main(address, port):
    uri = f"tcp://127.0.0.1:{port}"
    script = Path(__file__).with_name("run_wyoming.py")
    command = [sys.executable, str(script), "--uri", uri, "--tts-openai-url", address,
               "--tts-openai-key", "none", "--tts-models", "spark-tts", "--tts-streaming-models",
               "spark-tts"]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        voices = await voices_of(uri)
        voice = SynthesizeVoice(name="nova")
        result = {
            "voices": voices,
            "whole": await speak(uri, voice),
            "pieces": await speak_in_pieces(uri, voice),
        }
    finally:
        process.terminate()
        await process.wait()
    print(json.dumps(result))


asyncio.run(main(*sys.argv[1:]))
