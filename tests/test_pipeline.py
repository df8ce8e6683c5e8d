"""SparkTTS: streaming, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparktts_ms import Chunks, Sampling, SparkTTS
from sparktts_ms.errors import InputError, ModelError, NoSpeech, VoiceError
from sparktts_ms.voice import Voice
from tests.helpers import fixed_length


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


@settings(deadline=None, max_examples=15)
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


def test_stream_without_speech_is_an_error(tts):
    with pytest.raises(NoSpeech):
        list(tts.stream("Silent.", gender="female", sampling=Sampling(seed=1, max_new_tokens=20)))


def test_progress_reports_seconds_of_speech(tts):
    reported = []
    speech = tts.synthesize("Reported.", gender="female", sampling=fixed_length(1, 90), progress=reported.append)
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
