"""Encoding of recordings and its cache."""

import pytest

from sparktts_ms.errors import InputError
from sparktts_ms.training.dataset import EncodedRecording, encode_recordings
from sparktts_ms.training.manifest import ManifestEntry


def test_recordings_are_encoded_once(tts, wavs, tmp_path, caplog):
    cache = tmp_path / "encoded.jsonl"
    entries = [ManifestEntry(wavs / "p16k_mono_3s.wav", "One.", "a", "male"),
               ManifestEntry(tmp_path / "gone.wav", "Two.")]
    recordings = encode_recordings(entries, tts, cache)
    assert len(recordings) == 1
    assert "gone.wav" in caplog.text
    voice = tts.encode_voice(entries[0].audio, "One.")
    assert recordings[0].semantic_ids == voice.semantic_ids.tolist()
    assert recordings[0].global_ids == voice.global_ids.tolist()
    cache.write_text(cache.read_text() + '{"key": "cut sh')     # killed while writing

    class FailingModel:
        def encode_voice(self, *_):
            raise AssertionError("encoded twice")

    assert encode_recordings(entries[:1], FailingModel(), cache) == recordings
    with pytest.raises(InputError, match="None of"):
        encode_recordings(entries[1:], tts, cache)


def test_cache_survives_a_cut_line(tts, wavs, tmp_path):
    cache = tmp_path / "encoded.jsonl"
    cache.write_text('{"key": "cut sh')
    entry = ManifestEntry(wavs / "p24k_mono_0s5.wav", "One.")
    encode_recordings([entry], tts, cache)
    assert len(cache.read_text().splitlines()) == 2
    assert encode_recordings([entry], None, cache)


def test_concatenate():
    first = EncodedRecording("One", "a", "male", [1], [2, 3], 100.0, 1.0)
    second = EncodedRecording("two.", "b", "female", [4], [5], 200.0, 0.5)
    both = EncodedRecording("One two.", "a", "male", [1], [2, 3, 5], 100.0, 1.5)
    assert first.concatenate(second) == both
    assert both.speaking_rate == pytest.approx(2 / 1.5)
