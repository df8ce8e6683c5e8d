"""Real client libraries against the server, in an environment of their own: make speech-clients.

What they are made to say is read from the sound that they get (see fakes.py), and a model of random
weights speaks the same calls.
"""

import base64
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import wait_until
from tests.serving.clients.environments import call
from tests.serving.elevenlabs.fakes import heard

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("short_speech")]

FOLDER = Path(__file__).parent
TEXT = "Hello there, Dr. Smith. It costs 3.14 dollars, or 1,000 yen. Is that all?"
SECONDS_OF_LONG = 9.4       # what FakeSpeech would take for the text that is interrupted


def run(script, server):
    return call("agents", FOLDER / script, server.http.url)


def audio(result):
    return base64.b64decode(result["audio"])


def seconds(result):
    return len(audio(result)) / 2 / result["rates"][0]


def said(result):
    """The characters of the sound, without pauses and white space."""
    return "".join(character for character in heard(audio(result)) if character not in "_ ")


def level(result):
    return np.abs(np.frombuffer(audio(result), "<i2").astype(float)).mean()


def without_space(text):
    return text.replace(" ", "")


def spoken_seconds(server):
    return sum(stream.seconds for stream in server.speech.streams)


def test_pipecat(make_fake_server):
    server = make_fake_server(seconds_each=0.05)        # for 40 ms of sound
    results = run("pipecat_calls.py", server)
    unknown = results.pop("unknown voice")
    interrupted = results.pop("interrupted")
    for name, result in results.items():
        assert result["errors"] == [], name
        assert result["rates"] == [16000]
    for name in ("sentences", "tokens", "http", "settings"):
        assert results[name]["words"] == TEXT.split()
        times = results[name]["times"]
        assert times == sorted(times) and times[-1] > times[0]
        assert results[name]["stops"] == 1
    for name in ("sentences", "tokens", "http"):
        assert said(results[name]) == without_space(TEXT), name
    assert seconds(results["settings"]) == pytest.approx(
        seconds(results["sentences"]) / 1.25, rel=0.1)
    for name in ("speak", "two turns"):
        assert said(results[name]) == "Hellothere.Howareyou?", name
        assert results[name]["words"] == ["Hello", "there.", "How", "are", "you?"]
        assert results[name]["stops"] == 2
    assert said(interrupted).endswith("Yes,ofcourse.")
    assert interrupted["words"][-3:] == ["Yes,", "of", "course."]
    assert unknown["audio"] == "" and unknown["errors"]
    others = sum(map(seconds, results.values()))
    assert spoken_seconds(server) < others + SECONDS_OF_LONG / 2
    assert wait_until(lambda: not server.speech.running)


def test_pipecat_on_a_model(server):
    results = run("pipecat_calls.py", server)
    results.pop("unknown voice")
    for name, result in results.items():
        assert result["errors"] == [] and level(result) > 10, name
    assert results["tokens"]["words"] == TEXT.split()


def test_livekit(make_fake_server):
    server = make_fake_server(seconds_each=0.02)
    results = run("livekit_calls.py", server)
    error = results.pop("error")
    assert error["kind"] == "APIStatusError"
    assert results.pop("voices")[:2] == ["female", "male"]
    parts = results.pop("side by side")
    assert [said(part) for part in parts] == [without_space(TEXT), "Goodmorning.", "Byenow."]
    assert said(results["words"]) == without_space(TEXT)
    assert said(results["interrupted"]) == "Yes,ofcourse."
    for name, rate in (("mp3_22050_32", 22050), ("mp3_44100_128", 44100), ("pcm_24000", 24000),
                       ("opus_48000_64", 48000), ("schedule", 22050)):
        assert results[name]["rates"] == [rate]
        assert results[name]["text"] == TEXT
        assert seconds(results[name]) == pytest.approx(seconds(results["words"]), abs=0.6), name
    assert seconds(results["speed"]) == pytest.approx(seconds(results["pcm_24000"]) / 1.25, rel=0.1)
    assert seconds(results["chunked"]) == pytest.approx(len("Hello there.") * 0.01, abs=0.1)
    assert wait_until(lambda: not server.speech.running)


def test_livekit_on_a_model(server):
    results = run("livekit_calls.py", server)
    for name in ("mp3_22050_32", "mp3_44100_128", "pcm_24000", "opus_48000_64", "words"):
        assert results[name]["text"] == TEXT and level(results[name]) > 10, name


def test_elevenlabs_library(server):
    result = run("sdk_calls.py", server)
    assert result["convert"] == result["stream"] == result["timed"] == result["lines"]
    assert result["convert"][1] > 16000
    assert result["characters"] == "Hello there, Dr. Smith. It costs 3.14 dollars. "
    assert result["ends"][-1] == pytest.approx(result["convert"][1] / 2 / 16000, abs=0.01)
    assert result["mp3"] > 1000 and result["realtime"] > 16000
    assert {"female", "male", "alloy"} <= set(result["voices"])
    assert result["found"] == ["female"] and result["voice"] == "male"
    expected = [(404, "voice_not_found"), (400, "text_empty"), (400, "invalid_output_format"),
                (1008, "There is no voice named")]
    for (status, text), (expected_status, part) in zip(result["errors"], expected, strict=True):
        assert status == expected_status and part in text
