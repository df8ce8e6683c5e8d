"""VoiceEncoder: voices are cached by the recording's content; limits of a recording."""

import numpy as np
import pytest
import soundfile

from sparktts_ms.errors import AudioError
from sparktts_ms.generation.voice_encoder import VoiceEncoder
from tests.audio.signals import RATE, read_speech, sounds


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


def test_notices_are_logged_and_kept_with_the_voice(encoder, tmp_path, caplog):
    path = tmp_path / "late.wav"
    soundfile.write(path, np.concatenate([sounds(4)["music"], read_speech()]), RATE)
    voice = encoder.encode(path)
    assert [notice.code for notice in voice.notices] == ["late_speech"]
    assert caplog.messages == [voice.notices[0].message(path)]
    assert encoder.encode(path) is voice and len(caplog.messages) == 2
    voice.save(tmp_path / "voice.json")
    assert not type(voice).load(tmp_path / "voice.json").notices


def test_semantic_ids_begin_with_the_speech(encoder, tmp_path):
    """50 a second, of the recording without what is before its speech."""
    path = tmp_path / "late.wav"
    soundfile.write(path, np.concatenate([sounds(4)["pink noise"], read_speech()]), RATE)
    voice = encoder.encode(path, "Good morning, this is somebody speaking.")
    assert len(voice.semantic_ids) / 50 == pytest.approx(len(read_speech()) / RATE, abs=0.3)


@pytest.mark.parametrize("sound", ["silence", "white noise"])
def test_what_is_after_the_speech_does_not_give_the_voice(encoder, tmp_path, monkeypatch, sound):
    clips = []
    encode = encoder.codec.encode_speaker

    def spy(mel):
        clips.append(mel)
        return encode(mel)

    monkeypatch.setattr(encoder.codec, "encode_speaker", spy)
    speech = read_speech()
    for tail in (np.zeros(0), sounds(5)[sound]):
        path = tmp_path / f"{len(tail)}.wav"
        soundfile.write(path, np.concatenate([speech, tail]), RATE)
        encoder.encode(path)
    levels = [mel.mean(0) for mel in clips]
    spoken = [(level > 0.1 * level.max()).mean() for level in levels]
    assert spoken[1] > 0.8 * spoken[0]


def test_transcript_of_another_recording(encoder, tmp_path, monkeypatch):
    """It is refused before the network for it is loaded."""
    monkeypatch.setattr(encoder, "features", lambda samples: pytest.fail("it was loaded"))
    path = tmp_path / "short.wav"
    soundfile.write(path, read_speech()[8000:13000], RATE)
    with pytest.raises(AudioError, match="transcript") as error:
        encoder.encode(path, "far too many words for a third of a second " * 3)
    assert error.value.code == "transcript_mismatch"
