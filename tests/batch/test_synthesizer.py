"""Continuous batching of lines: equal to single requests, the engine's slots full."""

import io

import numpy as np
import pytest
import soundfile

from sparktts_ms import Sampling, SparkTTS, SpeechRequest
from sparktts_ms.audio.wav import encode_wav
from sparktts_ms.batch.line import Recording
from sparktts_ms.batch.synthesizer import Synthesizer
from sparktts_ms.batch.work import SpokenLine
from sparktts_ms.bicodec.codec import BiCodec
from sparktts_ms.errors import AudioError, SparkTTSError
from sparktts_ms.generation.attributes import VoiceDescription
from sparktts_ms.qwen2.engine import FOREGROUND_SLOTS
from tests.helpers import LONG_TEXT, fixed_length, mixed_requests


@pytest.fixture(scope="module")
def tts(shared_tts):
    return shared_tts()


@pytest.fixture
def synthesizer(tts):
    synthesizer = Synthesizer(tts, "wav")
    yield synthesizer
    synthesizer.close()
    assert not tts.engine.active and not tts.engine.waiting


def run(synthesizer, works):
    """The results of all, by key."""
    for key, work in works.items():
        synthesizer.submit(key, work)
    results = {}
    while len(results) < len(works):
        results.update(synthesizer.finished())
    return results


def test_lines_in_a_batch_equal_single_requests_to_the_bit(synthesizer, tts):
    requests = {n: SpeechRequest(**request) for n, request in enumerate(mixed_requests()[:6])}
    requests[100] = SpeechRequest("One sentence. Another one. And a third.", gender="female",
                                  sampling=fixed_length(7, 80))
    results = run(synthesizer, requests)
    for key, request in requests.items():
        single = tts.synthesize(request)
        assert results[key].content == encode_wav(single.samples, single.sample_rate)
        assert results[key].seconds == single.seconds
        np.testing.assert_array_equal(results[key].semantic_ids, single.semantic_ids)
        np.testing.assert_array_equal(results[key].global_ids, single.global_ids)
        assert results[key].complete == single.complete


def test_flac_holds_the_same_samples(synthesizer, tts):
    request = SpeechRequest("Twice.", gender="male", sampling=fixed_length(3, 60))
    flac = Synthesizer(tts, "flac")
    contents = [run(other, {0: request})[0].content for other in (synthesizer, flac)]
    (first, rate), (second, other_rate) = (
        soundfile.read(io.BytesIO(content), dtype="int16") for content in contents)
    assert rate == other_rate == 16000 and contents[1].startswith(b"fLaC")
    np.testing.assert_array_equal(first, second)


def test_long_texts_fill_all_slots(synthesizer, tts):
    """Nobody waits for short ones, for which a server leaves slots free."""
    for key in range(6):
        synthesizer.submit(key, SpeechRequest(LONG_TEXT, gender="male",
                                              sampling=fixed_length(key, 60)))
    active = []
    while max(active, default=0) < tts.llm.num_slots and len(active) < 200:
        tts.engine.step()
        for key in list(synthesizer._running):
            synthesizer._poll(key)
        active.append(len(tts.engine.active))
    assert max(active) == tts.llm.num_slots > tts.llm.num_slots - FOREGROUND_SLOTS


def test_what_fails_is_the_result_of_its_line_alone(synthesizer, tts, monkeypatch):
    decode = BiCodec.vocode_windows
    calls = []

    def failing(codec, hidden, sizes):
        calls.append(1)
        for samples in decode(codec, hidden, sizes):
            yield np.full_like(samples, np.nan) if len(calls) == 1 else samples

    monkeypatch.setattr(BiCodec, "vocode_windows", failing)
    results = run(synthesizer, {
        0: SpeechRequest("Short.", gender="male", sampling=fixed_length(1, 50)),
        1: SpeechRequest("Longer.", gender="male", sampling=fixed_length(1, 90)),
        2: SpeechRequest("Long " * 3000, gender="male", sampling=Sampling(seed=1), split=False)})
    assert "NaN" in results[0].message() and isinstance(results[1], SpokenLine)
    assert results[2].code == "prompt_too_long"


def test_an_engine_that_fails_ends_the_lines_that_run(synthesizer, tts, monkeypatch):
    def broken():
        raise RuntimeError("the device is lost\nat line 5")

    with monkeypatch.context() as patch:
        patch.setattr(tts.engine, "step", broken)
        results = run(synthesizer, {n: SpeechRequest("A.", gender="male", sampling=fixed_length(n))
                                    for n in range(3)})
    for error in results.values():
        assert isinstance(error, SparkTTSError) and error.code == "internal_error"
        assert error.message() == "It failed: RuntimeError: the device is lost"


def test_voices_of_recordings_and_descriptions(synthesizer, tts, wavs):
    path = wavs / "p24k_mono_0s5.wav"
    description = VoiceDescription("female", seed=3)
    results = run(synthesizer, {
        0: Recording(path, None), 1: Recording(path, "公园"),
        2: Recording(path, None, path.read_bytes()), 3: description,
        4: Recording(wavs / "none.wav", None), 5: Recording(path, None, b"no sound at all")})
    single = tts.encode_voice(path)
    for key in (0, 1, 2):
        np.testing.assert_array_equal(results[key].global_ids, single.global_ids)
    assert results[1].transcript == "公园" and len(results[1].semantic_ids)
    (voice,) = tts.generate_voices([description])
    np.testing.assert_array_equal(results[3].global_ids, voice.global_ids)
    for key, name in ((4, "none.wav"), (5, "p24k_mono_0s5.wav")):
        assert isinstance(results[key], AudioError) and name in results[key].message()


def test_capacity_is_more_than_the_slots(synthesizer, tts):
    assert isinstance(tts, SparkTTS) and synthesizer.capacity > tts.llm.num_slots
