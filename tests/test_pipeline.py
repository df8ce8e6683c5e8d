"""SparkTTS: streaming, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparktts_ms import Chunks, Sampling, SparkTTS
from sparktts_ms.errors import InputError, ModelError, NoSpeech, VoiceError
from sparktts_ms.voice import Voice
from tests.helpers import assert_close, examples, fixed_length


@pytest.fixture(scope="module")
def tts(shared_tts, form):
    return shared_tts()


@pytest.mark.parametrize("lookahead", ["receptive field", 200])
def test_stream_with_full_lookahead_equals_synthesize(tts, lookahead):
    request = {"text": "Streamed.", "gender": "female", "sampling": fixed_length(7, 340)}
    expected = tts.synthesize(**request).samples
    frames = tts.codec.receptive_field if lookahead == "receptive field" else lookahead
    chunks = list(tts.stream(**request, chunks=Chunks(frames, first=5, growth=1.3, maximum=70)))
    samples = np.concatenate(chunks)
    assert len(chunks) > 5 and len(chunks[0]) < len(chunks[2]) <= len(chunks[4])
    assert samples.shape == expected.shape
    assert np.abs(samples - expected).max() <= 5e-5 * np.abs(expected).max()


def test_error_shrinks_with_lookahead(tts):
    request = {"text": "Streamed.", "gender": "female", "sampling": fixed_length(7, 200)}
    expected = tts.synthesize(**request).samples
    errors = []
    for lookahead in (0, 8, tts.codec.receptive_field):
        samples = np.concatenate(list(tts.stream(**request, chunks=Chunks(lookahead))))
        errors.append(np.abs(samples - expected).max())
    assert errors[0] > errors[1] > errors[2]


@settings(max_examples=examples(15))
@given(first=st.integers(1, 40), growth=st.floats(1, 3), maximum=st.integers(40, 120),
       lookahead=st.integers(0, 80), tokens=st.integers(1, 90))
def test_chunks_cover_an_utterance_once(tts, first, growth, maximum, lookahead, tokens):
    chunks = Chunks(lookahead, first, growth, maximum)
    voice = Voice(np.zeros(32, np.int64))
    streamed = list(tts.stream("Any.", voice, sampling=fixed_length(1, tokens + 1), chunks=chunks))
    assert sum(map(len, streamed)) == tokens * 320 and all(len(chunk) for chunk in streamed)


def test_closing_a_stream_cancels_it(tts):
    stream = tts.stream("Left early.", gender="female", sampling=fixed_length(1, 400))
    next(stream)
    stream.close()
    assert not tts.engine.active and not tts.engine.step()


def test_unsupported_language_is_refused_before_generation(tts, monkeypatch):
    monkeypatch.setattr(tts, "config", replace(tts.config, languages=("en",)))
    for generate in (tts.synthesize, tts.stream):
        with pytest.raises(InputError, match="English only") as caught:
            generate("今天天气很好。", gender="female")
        assert caught.value.code == "unsupported_language"
    assert not tts.engine.active


def test_stream_without_speech_is_an_error(tts):
    with pytest.raises(NoSpeech):
        list(tts.stream("Silent.", gender="female", sampling=Sampling(seed=1, max_new_tokens=20)))


def test_progress_reports_seconds_of_speech(tts):
    reported = []
    speech = tts.synthesize("Reported.", gender="female", sampling=fixed_length(1, 90),
                            progress=reported.append)
    assert len(reported) > 40 and reported == sorted(reported)
    assert reported[-1] == pytest.approx(speech.seconds)


def test_request_without_speech_is_an_error(tts):
    with pytest.raises(NoSpeech) as error:
        tts.synthesize("Silent.", gender="female", sampling=Sampling(seed=1, max_new_tokens=20))
    assert error.value.code in ("no_speech", "incomplete_voice")
    with pytest.raises(InputError, match="no text"):
        tts.synthesize(" \n ", gender="female")


@pytest.mark.parametrize("ids", [[4096] * 32, [1] * 31])
def test_voice_of_another_model_is_refused(tts, ids):
    with pytest.raises(VoiceError, match="voice"):
        tts.synthesize("Any.", Voice(np.array(ids)))


def test_missing_model_directory(tmp_path):
    with pytest.raises(ModelError) as error:
        SparkTTS.from_pretrained(tmp_path / "none")
    assert error.value.code == "no_model_dir" and error.value.subject == tmp_path / "none"


def test_seed_determines_the_speech(tts):
    def generate(seed):
        speech = tts.synthesize("Hello.", gender="female", sampling=Sampling(seed=seed))
        return tuple(speech.generated_ids.tolist())

    assert generate(7) == generate(7) != generate(8)
    assert len({generate(None) for _ in range(3)}) == 3


@pytest.mark.parametrize("style", [{"gender": "male", "pitch": "high", "speed": "low"}, None])
def test_graph_and_pynative_mode_agree(shared_tts, form, wavs, style):
    speeches = []
    for mode in ("graph", "pynative"):
        tts = shared_tts(mode)
        voice = None if style else tts.encode_voice(wavs / "p24k_mono_0s5.wav", "公园")
        speeches.append(tts.synthesize("The same text.", voice, **(style or {}),
                                       sampling=Sampling(seed=5)))
    np.testing.assert_array_equal(speeches[0].generated_ids, speeches[1].generated_ids)
    assert_close(speeches[0].samples, speeches[1].samples, 2e-5)


def test_number_of_graphs_is_bounded(tiny_model, form, wavs):
    tts = SparkTTS.from_pretrained(tiny_model, device_target="CPU")
    voice = tts.encode_voice(wavs / "p24k_mono_0s5.wav", "公园")
    for length in range(20, 300, 20):
        tts.decode(global_ids=voice.global_ids, semantic_ids=np.zeros(length, np.int32))
        tts.synthesize("word " * (length // 10), voice, sampling=fixed_length(1, 5))
    graphs = tts.runtime.graphs
    assert len(graphs) == len(set(graphs)) <= (1 if form == "native" else 10), graphs


@pytest.mark.parametrize("ids, match", [
    ({"global_ids": np.zeros(31, int)}, "global_ids"), ({"global_ids": np.full(32, 4096)}, "4095"),
    ({"semantic_ids": np.zeros(0, int)}, "semantic_ids"),
    ({"semantic_ids": np.array([8192])}, "8191"),
    ({"semantic_ids": np.array([-1])}, "semantic_ids"),
    ({"semantic_ids": np.array([0.5])}, "semantic_ids")])
def test_decode_refuses_ids_that_the_codec_does_not_have(tts, ids, match):
    with pytest.raises(InputError, match=match):
        tts.decode(**{"global_ids": np.zeros(32, int), "semantic_ids": np.zeros(3, int), **ids})


def test_a_model_that_this_user_may_not_read_is_named(tiny_model, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder / "LLM"))

    monkeypatch.setattr("sparktts_ms.pipeline.read_config", refuse)     # root may read anything
    with pytest.raises(ModelError, match=f"{tiny_model}/LLM cannot be read by this user"):
        SparkTTS.from_pretrained(tiny_model)
