"""Speaks with ElevenLabs' own library: python sdk_calls.py ADDRESS

Imports nothing but the library. Writes JSON: what came of each call.
"""

import base64
import hashlib
import json
import sys

from elevenlabs import ElevenLabs, VoiceSettings
from elevenlabs.core.api_error import ApiError

TEXT = "Hello there, Dr. Smith. It costs 3.14 dollars."
FORMAT = "pcm_16000"


def digest(chunks):
    """Of bytes in pieces, and their number."""
    data = b"".join(chunks)
    return [hashlib.sha256(data).hexdigest(), len(data)]


def refused(call, *arguments, **options):
    """Status of an error, or a WebSocket's close code, and what is said about it."""
    try:
        list(call(*arguments, **options))
    except ApiError as error:
        return [error.status_code, str(error.body)]


def main(address):
    client = ElevenLabs(api_key="none", base_url=address.rstrip("/"))
    speech = client.text_to_speech
    # The library makes wss:// of any address; a server without TLS needs this line.
    speech._ws_base_url = address.rstrip("/").replace("http", "ws")
    options = {"text": TEXT, "model_id": "eleven_flash_v2_5", "output_format": FORMAT, "seed": 3}
    timed = speech.convert_with_timestamps("female", **options)
    lines = list(speech.stream_with_timestamps("female", **options))
    realtime = speech.convert_realtime("female", text=iter(TEXT.split()), output_format=FORMAT,
                                       voice_settings=VoiceSettings(speed=1.0))
    results = {
        "convert": digest(speech.convert("female", **options)),
        "stream": digest(speech.stream("female", **options)),
        "timed": digest([base64.b64decode(timed.audio_base_64)]),
        "characters": "".join(timed.alignment.characters),
        "ends": timed.alignment.character_end_times_seconds,
        "lines": digest(base64.b64decode(line.audio_base_64) for line in lines),
        "mp3": digest(speech.convert("female", text=TEXT))[1],
        "realtime": digest(realtime)[1],
        "voices": [voice.voice_id for voice in client.voices.get_all().voices],
        "found": [voice.voice_id for voice in client.voices.search(search="fem").voices],
        "voice": client.voices.get("male").name,
        "errors": [
            refused(speech.convert, "nobody", text=TEXT),
            refused(speech.convert, "female", text=""),
            refused(speech.convert, "female", text=TEXT, output_format="midi"),
            refused(speech.convert_realtime, "nobody", text=iter(["Hello."])),
        ],
    }
    print(json.dumps(results))


main(*sys.argv[1:])
