"""VoiceEncoder: voices are cached by the recording's content; limits of a recording."""

import numpy as np
import pytest
import soundfile

from sparktts_ms.errors import AudioError
from sparktts_ms.generation.voice_encoder import VoiceEncoder


@pytest.fixture
def encoder(shared_tts):
    """One with an empty cache."""
    shared = shared_tts().voice_encoder
    return VoiceEncoder(shared.wav2vec2_file, shared.codec, shared.config, shared.runtime)


def test_cache_is_keyed_by_content(encoder, wavs, tmp_path, monkeypatch):
    path = wavs / "p16k_mono_3s.wav"
    voice = encoder.encode(path)
    (tmp_path / "copy.wav").write_bytes(path.read_bytes())
    assert encoder.encode(tmp_path / "copy.wav") is voice
    assert encoder.encode(path, " ") is voice
    assert encoder.encode(path, "a transcript") is not voice
    assert encoder.encode(wavs / "p24k_mono_0s5.wav") is not voice
    monkeypatch.setattr("sparktts_ms.generation.voice_encoder.CACHE_SIZE", 2)
    encoder.encode(wavs / "p24k_mono_0s5.wav")
    assert len(encoder._cache) <= 3 and encoder.encode(path) is not voice
    with pytest.raises(ValueError):
        voice.global_ids[0] = 1


def test_long_recording_cannot_have_a_transcript(encoder, tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(16000 * 31), 16000)
    with pytest.raises(AudioError, match="transcript") as error:
        encoder.encode(path, "a transcript")
    assert error.value.code == "recording_too_long" and error.value.subject == path
    assert encoder.encode(path).transcript is None


def test_release_frees_the_encoders(encoder, wavs):
    path = wavs / "p24k_mono_0s5.wav"
    voice = encoder.encode(path, "公园")
    encoder.release()
    assert encoder._features is None
    encoder._cache.clear()
    again = encoder.encode(path, "公园")
    np.testing.assert_array_equal(again.global_ids, voice.global_ids)
    np.testing.assert_array_equal(again.semantic_ids, voice.semantic_ids)
