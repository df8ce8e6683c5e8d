"""What programs send that call the server by plain HTTP, as their sources have it."""

import io
import re

import av
import httpx
import pytest
import soundfile

from tests.helpers import LONG_TEXT
from tests.serving.conftest import running

KEY = "secret"


@pytest.fixture(scope="module")
def client(service):
    with running(service, api_keys=[KEY]) as server, \
            httpx.Client(base_url=server.http.url, timeout=120) as client:
        yield client


def bearer(key=KEY):
    return {"Authorization": f"Bearer {key}"}


def seconds_of(sound):
    """Of an mp3 file."""
    with av.open(io.BytesIO(sound), format="mp3") as file:
        frames = list(file.decode(audio=0))
    return sum(frame.samples for frame in frames) / frames[0].sample_rate


def test_open_webui(client):
    # The list of voices is asked for without the key in most versions.
    voices = client.get("v1/audio/voices").json()["voices"]
    assert all(voice["id"] and voice["name"] for voice in voices)
    body = {"model": "tts-1", "input": "Hello there.", "voice": voices[0]["id"]}
    response = client.post("v1/audio/speech", json=body, headers=bearer())
    assert response.status_code == 200 and seconds_of(response.content) > 0
    # Where the list fails it falls back to these.
    for voice in ("alloy", "echo", "fable", "onyx", "nova", "shimmer"):
        assert voice in {known["id"] for known in voices}
    # Its parameters of an administrator are added to the body.
    extra = {**body, "speed": 1.5, "seed": 1, "anything": {"else": None}}
    assert client.post("v1/audio/speech", json=extra, headers=bearer()).status_code == 200
    # The error that is shown is read from the top level.
    for key, voice, status in ((KEY, "nobody", 400), ("wrong", "alloy", 401)):
        response = client.post("v1/audio/speech", json={**body, "voice": voice},
                               headers=bearer(key))
        assert response.status_code == status
        assert response.json()["error"]["message"]


def test_dify(client):
    # It validates a model by speaking this, and reads an error as it is.
    body = {"model": "tts-1", "input": "Test.", "voice": "alloy", "response_format": "mp3"}
    response = client.post("v1/audio/speech", json=body, headers=bearer(), follow_redirects=False)
    assert response.status_code == 200 and seconds_of(response.content) > 0
    # A long text comes in parts, whose sound is put together.
    parts = []
    for text in ("This is one part.", "And this is another."):
        with client.stream("POST", "v1/audio/speech", json={**body, "input": text},
                           headers=bearer()) as part:
            parts.append(b"".join(part.iter_bytes(1024)))
    total = sum(map(seconds_of, parts))
    assert seconds_of(b"".join(parts)) == pytest.approx(total, abs=0.001)


def test_sillytavern(client):
    body = {"provider_endpoint": f"{client.base_url}v1/audio/speech", "model": "tts-1",
            "input": "Hello there.", "voice": "alloy", "response_format": "mp3", "speed": 1}
    response = client.post("v1/audio/speech", json=body, headers=bearer())
    assert response.status_code == 200 and seconds_of(response.content) > 0
    assert response.headers["content-type"] == "audio/mpeg"
    # A fork of 2026 adds these.
    newer = {**body, "stream": False, "stream_format": "audio", "retry_badcase": True}
    response = client.post("v1/audio/speech", json=newer, headers=bearer())
    assert response.status_code == 200
    assert int(response.headers["content-length"]) == len(response.content)


@pytest.mark.parametrize("response_format", ["mp3", "opus", "flac", "wav"])
def test_kokoro_asks_for_a_file_that_is_not_streamed(client, response_format):
    body = {"model": "tts-1", "input": "Hello there.", "voice": "alloy", "seed": 1}
    pcm = client.post("v1/audio/speech", headers=bearer(),
                      json={**body, "response_format": "pcm", "sample_rate": 16000})
    response = client.post("v1/audio/speech", headers=bearer(),
                           json={**body, "response_format": response_format, "stream": False})
    assert int(response.headers["content-length"]) == len(response.content)
    samples, rate = soundfile.read(io.BytesIO(response.content))
    assert rate == 16000
    assert 2 * len(samples) == len(pcm.content)


def test_pyvideotrans(client):
    # The rate of a line of subtitles is the speed; a limit is recognized by its status, 429.
    for rate in ("+0%", "-25%", "+300%"):
        body = {"model": "gpt-4o-mini-tts", "voice": "shimmer", "input": "Hello there.",
                "speed": 1.0 + float(rate.replace("%", "")) / 100}
        response = client.post("v1/audio/speech", json=body, headers=bearer())
        assert response.status_code == 200 and seconds_of(response.content) > 0
    response = client.post("v1/audio/speech", json={**body, "speed": 5.1}, headers=bearer())
    assert response.status_code == 400 and "speed" in response.json()["error"]["message"]


def test_speaches_and_assemblyai(client):
    body = {"model": "tts-1", "input": "Hello.", "voice": "alloy", "response_format": "pcm",
            "sample_rate": 8000, "seed": 1}
    low = client.post("v1/audio/speech", json=body, headers=bearer())
    high = client.post("v1/audio/speech", json={**body, "sample_rate": 48000}, headers=bearer())
    assert low.headers["x-sample-rate"] == "8000"
    assert 6 * len(low.content) == pytest.approx(len(high.content), abs=12)
    unknown = client.post("v1/audio/speech", json={**body, "model": "kokoro"}, headers=bearer())
    assert unknown.status_code == 400 and unknown.json()["error"]["code"] == "model_not_found"


def test_probes_of_wyoming_openai(client):
    """By these it decides what the server is, in this order; the second must be the first that is
    answered."""
    assert client.get("v1/readyz").status_code in (401, 404)
    health = client.get("health")
    assert health.status_code == 200 and health.text == "OK"
    assert client.get("v1/test").status_code in (401, 404)
    card = client.get("v1/models/spark-tts", headers=bearer()).json()
    assert all(voice["name"] and voice["language"] for voice in card["voices"])


def test_the_first_bytes_come_while_the_rest_is_made(client):
    body = {"model": "tts-1", "input": LONG_TEXT, "voice": "alloy"}
    for response_format in ("mp3", "opus", "aac", "flac", "wav", "pcm"):
        body["response_format"] = response_format
        with client.stream("POST", "v1/audio/speech", json=body, headers=bearer()) as response:
            assert response.status_code == 200
            assert "content-length" not in response.headers
            first = next(response.iter_raw())
            assert re.match({
                "mp3": rb"\xff[\xe0-\xff]",
                "opus": rb"OggS.{24}OpusHead",
                "aac": rb"\xff[\xf0-\xf9]",
                "flac": rb"fLaC",
                "wav": rb"RIFF....WAVEfmt .{20}data",
                "pcm": rb"",
            }[response_format], first, re.DOTALL)
