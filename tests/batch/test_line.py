"""What a line asks for: its own fields before the defaults, files beside the input."""

import hashlib
import json
from pathlib import Path

import pytest

from sparktts_ms.batch.input_file import InputLine
from sparktts_ms.batch.line import (
    Defaults,
    Recording,
    VoiceFile,
    check_defaults,
    check_line,
    line_seed,
    read_line,
)
from sparktts_ms.errors import InputError
from sparktts_ms.generation.attributes import Style

FOLDER = Path("/data")


def parse(fields, defaults=None, seed=0):
    """The checked line of an object, with the number 7."""
    content = json.dumps(fields).encode()
    line = read_line(InputLine(7, len(content), content))
    line = check_line(line, Defaults(defaults or {}, seed, Path("here")), FOLDER)
    assert line.error is None, line.error
    return line


@pytest.mark.parametrize("fields, source", [
    ({"voice": "alloy"}, "alloy"),
    ({"voice": "her.json"}, VoiceFile(FOLDER / "her.json")),
    ({"voice": "voices/her"}, VoiceFile(FOLDER / "voices" / "her")),
    ({"prompt_speech_path": "a.wav"}, Recording(FOLDER / "a.wav", None)),
    ({"prompt_speech_path": "/a.wav", "prompt_text": " Said. "},
     Recording(Path("/a.wav"), "Said.")),
    ({"gender": "male"}, None),
    ({}, Recording(Path("here/default.wav"), "Said.")),
])
def test_where_the_voice_comes_from(fields, source):
    defaults = {"prompt_speech_path": "default.wav", "prompt_text": "Said."}
    assert parse({"text": "A.", **fields}, defaults).source == source


def test_fields_of_the_line_come_before_the_defaults():
    defaults = {"voice": "alloy", "pitch": "low", "top_k": 3, "temperature": 0.5}
    line = parse({"text": " A. ", "pitch": "high", "top_k": 9, "seed": 5, "split": False}, defaults)
    assert (line.text, line.source) == ("A.", "alloy")
    assert (line.sampling.top_k, line.sampling.temperature, line.sampling.seed) == (9, 0.5, 5)
    assert line.fields == {"voice": "alloy", "pitch": "high", "top_k": 9, "split": False}


def test_style_is_as_by_default_where_nothing_is_said():
    request = parse({"text": "A.", "style": {"gender": "female", "speed": 4.5}}).request(None)
    assert request.style == Style("female", speed=4.5) and request.normalize and request.split
    assert not parse({"text": "A.", "gender": "male", "normalize": False}).request(None).normalize


def test_seeds_of_lines_are_fixed():
    """As the first 32 bits of `printf '0\\nline-00000007' | sha256sum` and so on."""
    assert parse({"text": "A.", "gender": "male"}).id == "line-00000007"
    for seed, line_id in ((0, "line-00000007"), (12, "中文")):
        expected = int(hashlib.sha256(f"{seed}\n{line_id}".encode()).hexdigest()[:8], 16)
        assert line_seed(seed, line_id) == expected
    assert parse({"id": 12, "text": "A.", "gender": "male"}, seed=3).sampling.seed == \
        line_seed(3, "12")


def test_null_is_as_left_out():
    line = parse({"text": "A.", "voice": None, "gender": "male", "seed": None, "style": None})
    assert line.source is None and line.fields == {"gender": "male"}


def test_digest_follows_the_content_not_its_form():
    digests = set()
    for content in (b'{"text": "A.", "seed": 1}', b'{ "seed":1, "text":"\\u0041." }'):
        digests.add(read_line(InputLine(1, len(content), content)).digest)
    assert len(digests) == 1
    assert parse({"text": "B.", "seed": 1, "gender": "male"}).digest not in digests


@pytest.mark.parametrize("defaults, seed, word", [
    ({"voice": "alloy", "gender": "male"}, 0, "exclude"),
    ({"prompt_text": "Said."}, 0, "prompt_text"),
    ({"gender": "male", "pitch": 5000.0}, 0, "pitch"),
    ({"top_p": 2.0}, 0, "top_p"),
    ({}, -1, "seed"),
])
def test_defaults_with_which_no_line_could_be_spoken(defaults, seed, word):
    with pytest.raises(InputError, match=word):
        check_defaults(Defaults(defaults, seed))


def test_defaults_need_no_voice():
    check_defaults(Defaults({}))
    check_defaults(Defaults({"speed": "low", "top_k": 3}))
