"""What one line asks for: its text, where its voice comes from, its style and its seed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sparktts_ms.batch.fields import STYLE, check_fields, parse_fields, with_style
from sparktts_ms.batch.input_file import MAX_LINE_BYTES, InputLine
from sparktts_ms.errors import InputError, SparkTTSError, quoted
from sparktts_ms.generation.request import SpeechRequest, check_text, resolve_style
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.voice import Voice

SOURCES = ("voice", "prompt_speech_path", "gender")     # a voice comes from one of them
SAMPLING = ("temperature", "top_k", "top_p", "max_new_tokens", "min_new_tokens")
MAX_SHOWN = 1000        # characters of the text of a line that is wrong, in the manifest
DEFAULT_ID = re.compile(r"line-\d{8,}")


@dataclass(frozen=True)
class VoiceFile:
    """A voice that `Voice.save` wrote."""

    path: Path


@dataclass(frozen=True)
class Recording:
    """A recording, with its transcript or without. content: its bytes, where another machine is to
    read it."""

    path: Path
    transcript: str | None
    content: bytes | None = None


VoiceSource = str | VoiceFile | Recording       # str: the name of a saved or built-in voice


@dataclass(frozen=True)
class Defaults:
    """What the lines leave out.

    fields: of a line, but not text, id and seed. A line that says where its voice comes from has
    none of the fields SOURCES and prompt_text from here. seed: with the line's id it gives the seed
    of a line without one. folder: where relative paths of `fields` begin.
    """

    fields: Mapping[str, Any]
    seed: int = 0
    folder: Path = Path()


@dataclass(frozen=True)
class Line:
    """A line. id: unique in the output. digest: of its content. size: in bytes, in the input.

    error: what is wrong with it; then there is nothing else. source: of its voice; None: gender.
    fields: as they are given, or once it is checked, those that the manifest repeats.
    """

    id: str
    number: int
    digest: str
    size: int
    error: SparkTTSError | None = None
    text: str = ""
    source: VoiceSource | None = None
    fields: Mapping[str, Any] | None = None
    sampling: Sampling = Sampling()

    def request(self, voice: Voice | None) -> SpeechRequest:
        """The request, in the voice that `source` led to. Raises InputError."""
        fields = self.fields or {}
        style = {name: fields.get(name) for name in STYLE}
        if any(style.values()):             # as it is by default, but not logged for each line
            style = {"gender": style["gender"], "pitch": style["pitch"] or "moderate",
                     "speed": style["speed"] or "moderate"}
        return SpeechRequest(self.text, voice, **style, sampling=self.sampling,
                             normalize=fields.get("normalize", True),
                             split=fields.get("split", True))


def read_line(line: InputLine) -> Line:
    """Who a line is: its id and digest, and the fields as they are given; or what is wrong."""
    default_id = f"line-{line.number:08}"
    content = line.content
    if content is None:
        error = InputError(f"The line has more than {MAX_LINE_BYTES >> 20} MB.",
                           "Cut it into several lines.", code="line_too_long")
        return Line(default_id, line.number, _digest(b""), line.size, error)
    line_id = default_id
    given = None
    digest = _digest(content)
    problem: SparkTTSError | None = None
    try:
        given = parse_fields(content)
        digest = _digest(json.dumps(given, sort_keys=True).encode())
        if "id" in given:
            check_fields({"id": given["id"]})
            line_id = _checked_id(str(given["id"]), default_id)
    except SparkTTSError as error:
        problem = error
    return Line(line_id, line.number, digest, line.size, problem, fields=given)


def check_line(line: Line, defaults: Defaults, folder: Path) -> Line:
    """What a line asks for, with what is so by default. folder: where its relative paths begin."""
    text = (line.fields or {}).get("text")
    shown = text[:MAX_SHOWN] if isinstance(text, str) else ""
    if line.error is not None:
        return replace(line, fields=None, text=shown)
    try:
        given = with_style(line.fields or {})
        check_fields(given)
        return _checked(line, given, defaults, folder)
    except SparkTTSError as error:
        return replace(line, error=error, fields=None, text=shown)


def check_defaults(defaults: Defaults) -> None:
    """Raise InputError for defaults with which no line could be spoken."""
    check_fields(defaults.fields)
    options = {name: defaults.fields[name] for name in SAMPLING if name in defaults.fields}
    Sampling(**options, seed=defaults.seed)
    try:
        _checked(Line("", 0, "", 0), {"text": "Text."}, defaults, Path())
    except InputError as error:
        if error.code not in ("no_voice", "style_without_voice"):       # lines may have a voice
            raise


def line_seed(seed: int, line_id: str) -> int:
    """The seed of a line: 32 bits that depend on the run's seed and the line's id only."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{line_id}".encode()).digest()[:4], "big")


def _checked(line: Line, given: dict[str, Any], defaults: Defaults, folder: Path) -> Line:
    """The line with everything that was given, or is so by default. Raises InputError."""
    if "text" not in given:
        raise InputError("text is missing.", "Give the text to speak.", code="no_text")
    fields = dict(defaults.fields)
    if any(name in given for name in SOURCES):
        for name in (*SOURCES, "prompt_text"):
            fields.pop(name, None)
        paths_from = folder
    else:
        paths_from = defaults.folder
    fields.update(given)
    text = check_text(fields.pop("text"))
    fields.pop("id", None)
    seed = fields.pop("seed", None)
    source = _source(fields, paths_from)
    resolve_style(source is not None, *(fields.get(name) for name in STYLE))
    options = {name: fields.pop(name) for name in SAMPLING if name in fields}
    sampling = Sampling(**options, seed=line_seed(defaults.seed, line.id) if seed is None else seed)
    shown = {**fields, **{name: given[name] for name in SAMPLING if name in given}}
    return replace(line, text=text, source=source, fields=shown, sampling=sampling)


def _source(fields: Mapping[str, Any], folder: Path) -> VoiceSource | None:
    """Where the voice comes from; None: from the gender. Raises InputError."""
    found = [name for name in SOURCES if name in fields]
    if len(found) > 1:
        raise InputError(f"{' and '.join(found)} exclude each other.", "Give one of them.",
                         code="voice_and_gender")
    if "prompt_text" in fields and "prompt_speech_path" not in fields:
        raise InputError("prompt_text is the transcript of prompt_speech_path, which is missing.",
                         "Give both, or neither.", code="invalid_field")
    if not found:
        raise InputError("The line has no voice.",
                         "Give voice, prompt_speech_path or gender.", code="no_voice")
    if found == ["gender"]:
        return None
    value = fields[found[0]]
    if not value or "\0" in value:
        raise InputError(f"{found[0]} is {quoted(value)}, which is no name.", code="invalid_field")
    if found == ["prompt_speech_path"]:
        return Recording(folder / value, (fields.get("prompt_text") or "").strip() or None)
    is_file = value.endswith(".json") or "/" in value
    return VoiceFile(folder / value) if is_file else value


def _checked_id(line_id: str, default_id: str) -> str:
    if DEFAULT_ID.fullmatch(line_id) and line_id != default_id:
        raise InputError(f"id is {quoted(line_id)}, as another line without an id is called.",
                         "Give it another id.", code="invalid_id")
    return line_id


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
