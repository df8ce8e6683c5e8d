"""A manifest is read as hostile: every mistake is one line that names the line of the file."""

import pytest

from sparktts_ms.errors import InputError
from sparktts_ms.training.manifest import Recording, read_manifest


def write(folder, content):
    path = folder / "manifest.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_good_manifest(tmp_path):
    path = write(tmp_path, '\ufeff{"audio": "a.wav", "text": " Hi. ", "speaker": "x", "gender": "male", "more": 1}\n\n'
                           '{"audio": "/b.wav", "text": "Ho ho.", "word_ends": [0.5, 1], "phones": [["hh", 0.2], ["ow", 1]]}\n')
    assert read_manifest(path) == [Recording(tmp_path / "a.wav", "Hi.", "x", "male"),
                                   Recording(type(tmp_path)("/b.wav"), "Ho ho.", word_ends=(0.5, 1),
                                             phones=(("hh", 0.2), ("ow", 1)))]


@pytest.mark.parametrize("line, problem", [
    ("nonsense", "no JSON object"), ("[1]", "no JSON object"), ("[" * 100000, "no JSON object"), ('{"text": "a"}', "no audio"),
    ('{"audio": "a.wav"}', "no text"), ('{"audio": "a.wav", "text": "  "}', "no text"), ('{"audio": 3, "text": "a"}', "no audio"),
    ('{"audio": "a", "text": "a", "gender": "f"}', "one of female, male"), ('{"audio": "a", "text": "a", "gender": 1}', "gender"),
    ('{"audio": "a", "text": "a", "speaker": []}', "speaker"),
    *((f'{{"audio": "a", "text": "two words", "word_ends": {ends}}}', "word_ends")
      for ends in ("3", "[0.1]", "[2, 1]", "[1, null]", "[true, 2]", "[0, NaN]", "[-1, 2]", "[0, 1e9]")),
    *((f'{{"audio": "a", "text": "a", "phones": {phones}}}', "phones")
      for phones in ("3", "[]", "[1]", '["a"]', '[["a"]]', "[[1, 1]]", '[["a", 2], ["b", 1]]', '[["a", null]]', "[[[], 1]]"))])
def test_a_bad_line_is_named(tmp_path, line, problem):
    path = write(tmp_path, '{"audio": "a.wav", "text": "fine"}\n' + line)
    with pytest.raises(InputError, match=problem) as error:
        read_manifest(path)
    assert "line 2" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00"])
def test_what_is_no_manifest(tmp_path, content):
    with pytest.raises(InputError):
        read_manifest(write(tmp_path, content))


def test_a_missing_manifest(tmp_path):
    with pytest.raises(InputError, match="--data"):
        read_manifest(tmp_path / "none.jsonl")
    with pytest.raises(InputError):
        read_manifest(tmp_path)
