"""Alignments in a manifest, and recordings that carry them."""

import json
from pathlib import Path

import pytest

from recipes.demo_voice.lm.dataset import AlignedRecording, align_recordings, read_alignments
from sparktts_ms.errors import InputError
from sparktts_ms.training.dataset import EncodedRecording


def write_manifest(folder, *lines):
    path = folder / "manifest.jsonl"
    path.write_text("".join(line + "\n" for line in lines))
    return path


def test_alignments_are_attached_to_recordings(tmp_path):
    line = {"audio": "a.wav", "text": " Ho ho.", "word_ends": [0.5, 1],
            "phones": [["hh", 0.2], ["ow", 1]]}
    path = write_manifest(tmp_path, json.dumps(line), '{"audio": "b.wav", "text": "Ho."}')
    encoded = []
    for audio, text in (("a.wav", "Ho ho."), ("b.wav", "Ho."), ("c.wav", "Ho.")):
        encoded.append(EncodedRecording(text, None, None, [], [], 0.0, 1.0, tmp_path / audio))
    first, *others = align_recordings(encoded, read_alignments(path))
    assert first.word_ends == (0.5, 1)
    assert first.phones == (("hh", 0.2), ("ow", 1))
    assert first.audio == Path(tmp_path / "a.wav")
    for recording in others:
        assert isinstance(recording, AlignedRecording)
        assert recording.word_ends is None and recording.phones is None


@pytest.mark.parametrize("key, value", [
    *(("word_ends", ends) for ends in ("3", "[0.1]", "[2, 1]", "[1, null]", "[true, 2]",
                                       "[0, NaN]", "[-1, 2]", "[0, 1e9]")),
    *(("phones", phones) for phones in ("3", "[]", "[1]", '["a"]', '[["a"]]', "[[1, 1]]",
                                        '[["a", 2], ["b", 1]]', '[["a", null]]', "[[[], 1]]")),
])
def test_malformed_alignment(tmp_path, key, value):
    path = write_manifest(tmp_path, '{"audio": "a.wav", "text": "fine"}',
                          f'{{"audio": "a", "text": "two words", "{key}": {value}}}')
    with pytest.raises(InputError, match=key) as error:
        read_alignments(path)
    assert "line 2" in str(error.value)
    assert "\n" not in str(error.value)
