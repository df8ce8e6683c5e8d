"""A manifest: one JSON object a line, with `audio` (a path, relative to the manifest) and `text`; `speaker` and `gender`
("female", "male") if known; `word_ends` (seconds, one for each word between spaces) if an aligner found them. Other keys are
left alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sparktts_ms.errors import InputError
from sparktts_ms.prompt import GENDERS


@dataclass(frozen=True)
class Recording:
    """One line of a manifest."""

    audio: Path
    text: str
    speaker: str | None = None
    gender: str | None = None
    word_ends: tuple[float, ...] | None = None


def read_manifest(path: Path) -> list[Recording]:
    """All lines. Raises InputError for what is no manifest, naming the line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8.") from None
    except OSError as problem:
        raise InputError(f"The manifest {path} cannot be read: {problem.strerror} (--data).") from None
    recordings = [_recording(f"{path} line {number}", line, path.parent) for number, line in enumerate(lines, 1) if line.strip()]
    if not recordings:
        raise InputError(f"The manifest {path} is empty; each line is a JSON object with audio and text.")
    return recordings


def _recording(where: str, line: str, folder: Path) -> Recording:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise InputError(f"{where} is no JSON object; write {{\"audio\": ..., \"text\": ...}}.") from None
    if not isinstance(entry, dict):
        raise InputError(f"{where} is no JSON object; write {{\"audio\": ..., \"text\": ...}}.")
    for key in ("audio", "text"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise InputError(f"{where} has no {key}.")
    for key in ("speaker", "gender"):
        if not isinstance(entry.get(key), str | None):
            raise InputError(f"{where}: {key} must be a string.")
    gender = entry.get("gender")
    if gender is not None and gender not in GENDERS:
        raise InputError(f"{where}: gender is {gender!r}; it must be one of {', '.join(GENDERS)}, or left out.")
    text, ends = entry["text"].strip(), entry.get("word_ends")
    if ends is not None:
        whole = isinstance(ends, list) and all(type(end) in (int, float) and 0 <= end < 3600 for end in ends)
        if not whole or len(ends) != len(text.split()) or sorted(ends) != ends:
            raise InputError(f"{where}: word_ends must be rising numbers of seconds, one for each of the text's "
                             f"{len(text.split())} words.")
        ends = tuple(ends)
    return Recording(folder / entry["audio"], text, entry.get("speaker"), gender, ends)
