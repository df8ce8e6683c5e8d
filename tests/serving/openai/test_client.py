"""The `openai` library against the server: what its users write, with a changed address only."""

import asyncio
import base64
import json

import numpy as np
import pytest

from sparktts_ms import Chunks, Sampling, SpeechRequest
from sparktts_ms.audio.wav import encode_wav
from tests.helpers import LONG_TEXT, PROMPT, wait_until

openai = pytest.importorskip("openai", reason="needs requirements-dev.txt")

SPEECH = {"model": "gpt-4o-mini-tts", "voice": "coral", "input": "Hello there."}


@pytest.fixture(scope="module")
def client(api):
    with openai.OpenAI(base_url=f"{api.server.http.url}v1", api_key="none") as client:
        yield client


def pcm_of(service, voice, seed):
    """Of SPEECH, by the library."""
    request = SpeechRequest(SPEECH["input"], voice, sampling=Sampling(seed=seed))
    samples = np.concatenate(list(service.submit(request, chunks=Chunks())))
    return encode_wav(samples, service.sample_rate)[44:]


def test_speech_is_written_to_a_file(client, tmp_path):
    path = tmp_path / "speech.mp3"
    client.audio.speech.create(**SPEECH, instructions="Cheerfully.", speed=1.1).write_to_file(path)
    assert path.stat().st_size > 500
    with client.audio.speech.with_streaming_response.create(**SPEECH) as response:
        response.stream_to_file(path)
    assert path.read_bytes()[:2] in (b"ID", b"\xff\xfb", b"\xff\xf3")


def test_what_openai_has_not_goes_into_extra_body(client, api, service):
    voice = asyncio.run(api.server.voices.find("coral", api.server.speech))
    options = {"seed": 3, "sample_rate": 16000, "temperature": 0.8, "top_k": 50, "top_p": 0.95}
    sound = client.audio.speech.create(**SPEECH, response_format="pcm", extra_body=options)
    assert sound.content == pcm_of(service, voice, 3)


def test_sound_is_streamed_while_it_is_made(client, api):
    long = {**SPEECH, "input": LONG_TEXT, "response_format": "pcm"}
    with client.audio.speech.with_streaming_response.create(**long) as response:
        assert response.headers["x-sample-rate"] == "24000"
        sound = response.iter_bytes(1024)       # kept: its end would close the connection
        assert len(next(sound)) == 1024 and not api.is_idle
    assert wait_until(lambda: api.is_idle)


def test_several_tasks_of_the_asynchronous_client(api):
    async def speak_all():
        address = f"{api.server.http.url}v1"
        async with openai.AsyncOpenAI(base_url=address, api_key="none") as client:
            return await asyncio.gather(*(speak(client, seed) for seed in range(3)))

    async def speak(client, seed):
        options = {"response_format": "pcm", "extra_body": {"seed": seed}}
        create = client.audio.speech.with_streaming_response.create
        async with create(**SPEECH, **options) as response:
            return sum([len(part) async for part in response.iter_bytes()])

    pcm = {"voice": "coral", "response_format": "pcm"}
    alone = [len(api.speak(SPEECH["input"], **pcm, seed=seed).content) for seed in range(3)]
    assert asyncio.run(speak_all()) == alone


def test_events_as_they_are_read_line_by_line(client, api):
    create = client.audio.speech.with_streaming_response.create
    sound = b""
    options = {"response_format": "pcm", "extra_body": {"seed": 1}}
    with create(**SPEECH, **options, stream_format="sse") as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                event = json.loads(line[6:])
                sound += base64.b64decode(event.get("audio", ""))
    assert event["type"] == "speech.audio.done" and event["usage"]["total_tokens"] > 0
    assert sound == client.audio.speech.create(**SPEECH, **options).content


def test_a_voice_is_made_of_a_recording_with_consent(client, api, service):
    consent = client.audio.voice_consents.create(
        name="Anna's consent", language="en-US", recording=PROMPT)
    voice = client.audio.voices.create(name="Anna", audio_sample=PROMPT, consent=consent.id)
    assert (voice.name, voice.object, voice.type) == ("Anna", "audio.voice", "audio_sample")
    speech = {**SPEECH, "voice": {"id": voice.id}, "response_format": "pcm"}
    options = {"seed": 2, "sample_rate": 16000}
    expected = pcm_of(service, service.encode_voice(PROMPT), 2)
    assert client.audio.speech.create(**speech, extra_body=options).content == expected
    assert client.audio.voices.delete(voice.id).deleted
    with pytest.raises(openai.BadRequestError):
        client.audio.speech.create(**speech)


def test_models_are_listed(client):
    assert {"tts-1", "gpt-4o-mini-tts"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("tts-1-hd").id == "tts-1-hd"


def test_errors_are_the_classes_that_callers_catch(client, make_api, monkeypatch, api):
    create = client.audio.speech.create
    with pytest.raises(openai.BadRequestError) as caught:
        create(**{**SPEECH, "voice": "af_heart"})
    assert caught.value.param == "voice" and caught.value.code == "unknown_voice"
    assert "af_heart" in caught.value.message and caught.value.request_id
    with pytest.raises(openai.BadRequestError):
        create(**{**SPEECH, "input": ""})
    with pytest.raises(openai.BadRequestError):
        create(**{**SPEECH, "model": "whisper-1"})
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("whisper-1")
    keyed = make_api(api_keys=["secret"])
    address = f"{keyed.server.http.url}v1"
    with openai.OpenAI(base_url=address, api_key="wrong") as other, \
            pytest.raises(openai.AuthenticationError):
        other.audio.speech.create(**SPEECH)
    with openai.OpenAI(base_url=address, api_key="secret") as other:
        assert other.audio.speech.create(**SPEECH).content
    monkeypatch.setattr(api.server.speech, "num_requests", 10_000)
    with pytest.raises(openai.RateLimitError) as refused:
        client.with_options(max_retries=0).audio.speech.create(**SPEECH)
    assert int(refused.value.response.headers["retry-after"]) > 0
