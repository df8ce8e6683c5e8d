"""Manifests are untrusted input: every mistake gives one line that names the line of the file."""

from pathlib import Path

import pytest

from sparktts_ms.errors import InputError
from sparktts_ms.training.manifest import ManifestEntry, read_manifest


def write_manifest(folder, content):
    path = folder / "manifest.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_valid_manifest(tmp_path):
    path = write_manifest(
        tmp_path,
        '\ufeff{"audio": "a.wav", "text": " Hi. ", "speaker": "x", "gender": "male", "more": 1}\n\n'
        '{"audio": "/b.wav", "text": "Ho ho."}\n')
    assert read_manifest(path) == [ManifestEntry(tmp_path / "a.wav", "Hi.", "x", "male"),
                                   ManifestEntry(Path("/b.wav"), "Ho ho.")]


def test_other_keys_are_ignored(tmp_path):
    path = write_manifest(tmp_path, '{"audio": "a.wav", "text": "Ho ho.", "word_ends": [0.5, 1], '
                                    '"phones": [["hh", 0.2], ["ow", 1]]}\n'
                                    '{"audio": "b.wav", "text": "Ho.", "word_ends": "x"}\n')
    assert read_manifest(path) == [ManifestEntry(tmp_path / "a.wav", "Ho ho."),
                                   ManifestEntry(tmp_path / "b.wav", "Ho.")]


@pytest.mark.parametrize("line, problem", [
    ("nonsense", "no JSON object"),
    ("[1]", "no JSON object"),
    ("[" * 100000, "no JSON object"),
    ('{"text": "a"}', "no audio"),
    ('{"audio": "a.wav"}', "no text"),
    ('{"audio": "a.wav", "text": "  "}', "no text"),
    ('{"audio": 3, "text": "a"}', "no audio"),
    ('{"audio": "a", "text": "a", "gender": "f"}', "one of female, male"),
    ('{"audio": "a", "text": "a", "gender": 1}', "gender"),
    ('{"audio": "a", "text": "a", "speaker": []}', "speaker"),
])
def test_malformed_line(tmp_path, line, problem):
    path = write_manifest(tmp_path, '{"audio": "a.wav", "text": "fine"}\n' + line)
    with pytest.raises(InputError, match=problem) as error:
        read_manifest(path)
    assert "line 2" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00"])
def test_not_a_manifest(tmp_path, content):
    with pytest.raises(InputError):
        read_manifest(write_manifest(tmp_path, content))


def test_missing_manifest(tmp_path):
    with pytest.raises(InputError, match=r"manifest .*none.jsonl cannot be read"):
        read_manifest(tmp_path / "none.jsonl")
    with pytest.raises(InputError):
        read_manifest(tmp_path)
