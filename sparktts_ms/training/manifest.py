"""A manifest: one JSON object a line, with `audio` (a path, relative to the manifest) and `text`; `speaker` and `gender`
("female", "male") if known; if an aligner found them, `word_ends` (seconds, one for each word between spaces) and `phones`
([name, the second at which it ends], pauses too). Other keys are left alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sparktts_ms.errors import InputError
from sparktts_ms.generation.attributes import GENDERS


@dataclass(frozen=True)
class Recording:
    """One line of a manifest."""

    audio: Path
    text: str
    speaker: str | None = None
    gender: str | None = None
    word_ends: tuple[float, ...] | None = None
    phones: tuple[tuple[str, float], ...] | None = None


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
        if not _rising(ends) or len(ends) != len(text.split()):
            raise InputError(f"{where}: word_ends must be rising numbers of seconds, one for each of the text's "
                             f"{len(text.split())} words.")
        ends = tuple(ends)
    phones = entry.get("phones")
    if phones is not None:
        pairs = isinstance(phones, list) and phones and all(isinstance(pair, list) and len(pair) == 2 for pair in phones)
        if not pairs or not all(isinstance(name, str) for name, _ in phones) or not _rising([end for _, end in phones]):
            raise InputError(f"{where}: phones must be pairs of a name and the second at which it ends, in rising order.")
        phones = tuple((name, end) for name, end in phones)
    return Recording(folder / entry["audio"], text, entry.get("speaker"), gender, ends, phones)


def _rising(seconds: object) -> bool:
    return (isinstance(seconds, list) and all(type(one) in (int, float) and 0 <= one < 3600 for one in seconds)
            and sorted(seconds) == seconds)
