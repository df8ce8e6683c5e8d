"""Encoding of recordings and its cache."""

import pytest
import soundfile

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


def test_parts_of_a_file(tts, wavs, tmp_path):
    """NeMo's offset and duration: the ids of the part; a duration of all of the file changes
    nothing."""
    source = wavs / "p16k_mono_3s.wav"
    samples, rate = soundfile.read(source)
    part = tmp_path / "part.wav"
    soundfile.write(part, samples[rate // 2:rate * 5 // 2], rate, subtype="FLOAT")
    entries = [ManifestEntry(source, "One two.", offset=0.5, duration=2.0),
               ManifestEntry(source, "One two.", duration=len(samples) / rate),
               ManifestEntry(source, "One two.", duration=2.0),
               ManifestEntry(source, "One two.")]
    cut, stated, start, whole = encode_recordings(entries, tts, tmp_path / "encoded.jsonl")
    expected = tts.encode_voice(part, "One two.")
    assert cut.semantic_ids == expected.semantic_ids.tolist()
    assert cut.global_ids == expected.global_ids.tolist()
    assert cut.audio == source
    assert stated.semantic_ids == whole.semantic_ids
    assert len(start.semantic_ids) < len(whole.semantic_ids)


def test_part_behind_the_end_is_left_out(tts, wavs, tmp_path, caplog):
    entries = [ManifestEntry(wavs / "p16k_mono_3s.wav", "One two.", offset=50.0, duration=2.0),
               ManifestEntry(wavs / "p16k_mono_3s.wav", "One two.")]
    assert len(encode_recordings(entries, tts, tmp_path / "encoded.jsonl")) == 1
    assert "p16k_mono_3s.wav ends before 50 s" in caplog.text
