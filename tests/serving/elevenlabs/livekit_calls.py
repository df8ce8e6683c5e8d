"""Speaks with livekit's elevenlabs plugin: python livekit_calls.py ADDRESS

Imports nothing but the library. Writes JSON: what came of each stream.
"""

import asyncio
import base64
import json
import sys

import aiohttp
from livekit.agents import APIError
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT, APIConnectOptions
from livekit.plugins import elevenlabs

TEXT = "Hello there, Dr. Smith. It costs 3.14 dollars, or 1,000 yen. Is that all?"
LONG = "This is a sentence that goes on for some time. " * 20
OPTIONS = APIConnectOptions(max_retry=0, timeout=30)


async def read(stream):
    """The sound, its sample rate, and the words that came with it."""
    audio, rates, words = b"", set(), []
    async for event in stream:
        audio += event.frame.data.tobytes()
        rates.add(event.frame.sample_rate)
        words += event.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])
    return {"audio": base64.b64encode(audio).decode(), "rates": sorted(rates),
            "text": "".join(words), "starts": [word.start_time for word in words]}


async def speak(tts, text=TEXT, size=4):
    """A text in tokens of `size` characters."""
    async with tts.stream(conn_options=OPTIONS) as stream:
        for begin in range(0, len(text), size):
            stream.push_text(text[begin:begin + size])
            await asyncio.sleep(0.01)
        stream.end_input()
        return await read(stream)


async def interrupt(tts):
    """Leave a long text after its first sound; then the next one is spoken."""
    async with tts.stream(conn_options=OPTIONS) as stream:
        stream.push_text(LONG)
        async for _ in stream:
            break
    return await speak(tts, "Yes, of course.")


async def side_by_side(tts):
    """Three contexts on one connection."""
    return await asyncio.gather(*(speak(tts, text) for text in (TEXT, "Good morning.", "Bye now.")))


async def fail(tts):
    """What an error becomes."""
    try:
        await speak(tts, "Hello.")
    except APIError as error:
        return {"kind": type(error).__name__, "message": error.message}


async def main(address):
    async with aiohttp.ClientSession() as session:
        def make(voice="female", **options):
            return elevenlabs.TTS(base_url=f"{address.rstrip('/')}/v1", api_key="none",
                                  voice_id=voice, http_session=session, **options)

        results = {name: await speak(make(encoding=name)) for name in (
            "mp3_22050_32", "mp3_44100_128", "pcm_24000", "opus_48000_64")}
        results["words"] = await speak(make(encoding="pcm_16000", auto_mode=False))
        results["schedule"] = await speak(make(chunk_length_schedule=[80, 120]))
        results["speed"] = await speak(make(encoding="pcm_16000", language="en",
                                            voice_settings=elevenlabs.VoiceSettings(0.5, 0.7,
                                                                                    speed=1.25)))
        results["interrupted"] = await interrupt(make(encoding="pcm_16000"))
        results["side by side"] = await side_by_side(make(encoding="pcm_16000"))
        results["chunked"] = await read(make().synthesize("Hello there.", conn_options=OPTIONS))
        results["error"] = await fail(make("nobody"))
        results["voices"] = [voice.id for voice in await make().list_voices()]
    print(json.dumps(results))


asyncio.run(main(*sys.argv[1:]))
