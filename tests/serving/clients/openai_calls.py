"""What users of the openai library write, old or new: python openai_calls.py ADDRESS FOLDER

Imports nothing but the library. Writes files into FOLDER, and JSON.
"""

import asyncio
import base64
import hashlib
import json
import sys
from pathlib import Path

import openai

SPEECH = {"model": "tts-1", "voice": "nova", "input": "Hello there."}
PCM = {"response_format": "pcm", "extra_body": {"seed": 1}}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def error_of(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.code, error.param]
    return None


def read_events(client):
    # Old versions do not know `stream_format`.
    sound = b""
    body = {**PCM, "extra_body": {**PCM["extra_body"], "stream_format": "sse"}}
    with client.audio.speech.with_streaming_response.create(**SPEECH, **body) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                event = json.loads(line[6:])
                sound += base64.b64decode(event.get("audio", ""))
    return sound, event


async def speak_at_the_same_time(address, count):
    async def speak(client):
        create = client.audio.speech.with_streaming_response.create
        async with create(**SPEECH, **PCM) as response:
            return digest(b"".join([part async for part in response.iter_bytes(4096)]))

    async with openai.AsyncOpenAI(base_url=address, api_key="none") as client:
        return await asyncio.gather(*(speak(client) for _ in range(count)))


def main(address, folder):
    folder = Path(folder)
    with openai.OpenAI(base_url=address, api_key="none", max_retries=0) as client:
        create = client.audio.speech.create
        create(**SPEECH, speed=1.25).write_to_file(folder / "whole.mp3")
        with client.audio.speech.with_streaming_response.create(
                **SPEECH, response_format="wav", extra_body={"seed": 1}) as response:
            response.stream_to_file(folder / "streamed.wav")
        sound, last = read_events(client)
        result = {
            "version": openai.__version__,
            "whole": digest(create(**SPEECH, **PCM).read()),
            "events": digest(sound),
            "usage": last["usage"],
            "async": asyncio.run(speak_at_the_same_time(address, 3)),
            "models": [model.id for model in client.models.list()],
            "errors": [
                error_of(create, **{**SPEECH, "voice": "nobody"}),
                error_of(create, **{**SPEECH, "input": " "}),
                error_of(create, **SPEECH, response_format="mp4"),
                error_of(create, **SPEECH, speed=9.0),
                error_of(client.models.retrieve, "whisper-1"),
            ],
        }
    print(json.dumps(result))


main(*sys.argv[1:])
