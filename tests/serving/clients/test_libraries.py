"""Real client libraries against the server, each in its own environment: make speech-clients."""

import hashlib

import httpx
import pytest
import soundfile

from sparktts_ms.serving.voices.built_in import BUILT_IN_VOICES
from tests.helpers import free_port, wait_until
from tests.serving.clients.environments import call, python_of, spoken_seconds

pytestmark = pytest.mark.slow

SPEECH = {"model": "tts-1", "voice": "nova", "input": "Hello there."}
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


@pytest.fixture
def address(server):
    return f"{server.http.url}v1"


def test_openai_of_2024(server, address, tmp_path):
    python_of("openai-1")
    body = {**SPEECH, "response_format": "pcm", "seed": 1}
    expected = httpx.post(f"{address}/audio/speech", json=body, timeout=120)
    result = call("openai-1", "openai_calls.py", address, tmp_path)
    digest = hashlib.sha256(expected.content).hexdigest()
    assert result["version"].startswith("1.")
    assert result["whole"] == result["events"] == digest
    assert result["async"] == [digest] * 3
    assert result["usage"]["total_tokens"] > 0
    assert {"spark-tts", "tts-1"} <= set(result["models"])
    assert result["errors"] == [
        ["BadRequestError", 400, "unknown_voice", "voice"],
        ["BadRequestError", 400, "no_text", "input"],
        ["BadRequestError", 400, None, "response_format"],
        ["BadRequestError", 400, None, "speed"],
        ["NotFoundError", 404, "model_not_found", "model"],
    ]
    samples, rate = soundfile.read(tmp_path / "streamed.wav")
    assert rate == 16000
    assert len(samples) * 3 == len(expected.content)        # 2 bytes a sample, 24 kHz
    assert len(soundfile.read(tmp_path / "whole.mp3")[0])


def test_pipecat(server, address):
    before = spoken_seconds(server)
    results = call("agents", "pipecat_calls.py", address)
    unknown = results.pop("unknown model")
    assert unknown["seconds"] == 0 and "whisper-1" in unknown["errors"][0]
    for sound in results.values():
        assert sound["seconds"] > 0 and not sound["errors"]
        assert sound["rates"] == [24000] and sound["channels"] == [1]
    made = results["default"]["seconds"] + 1.25 * results["settings"]["seconds"]
    assert made == pytest.approx(spoken_seconds(server) - before, abs=0.01)


@pytest.mark.parametrize("script", ["pipecat_calls.py", "livekit_calls.py"])
def test_an_interruption_stops_the_speech(server, address, script):
    cancelled = server.metrics.cancelled.labels("openai")._value
    before = cancelled.get()
    assert call("agents", script, address, "interrupt")["seconds"] > 0
    assert wait_until(lambda: cancelled.get() == before + 1)
    assert wait_until(lambda: server.speech.num_requests == 0)


def test_livekit(server, address):
    before = spoken_seconds(server)
    results = call("agents", "livekit_calls.py", address)
    error = results.pop("error")
    assert error["status"] == 400 and "whisper-1" in error["message"]
    assert len(results) == 2 * len(FORMATS) + 1
    for sound in results.values():
        assert sound["rate"] == 24000 and sound["level"] > 10
    # mp3 and aac begin and end with silence of some ten milliseconds each.
    made = sum(sound["seconds"] for sound in results.values())
    assert made == pytest.approx(spoken_seconds(server) - before, abs=0.15 * len(results))


def test_home_assistant_through_wyoming(server, address):
    before = spoken_seconds(server)
    result = call("wyoming", "wyoming_calls.py", address, free_port())
    assert set(BUILT_IN_VOICES) <= set(result["voices"])
    assert result["whole"]["rates"] == result["pieces"]["rates"] == [16000]
    made = result["whole"]["seconds"] + result["pieces"]["seconds"]
    assert result["pieces"]["seconds"] > result["whole"]["seconds"] > 0
    assert made == pytest.approx(spoken_seconds(server) - before, abs=0.01)
