"""Manifests in JSON Lines: one recording a line.

Required keys are `audio` (a path, relative to the manifest) and `text`; optional ones are `speaker`
and `gender` ("female" or "male"). Other keys are ignored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sparktts_ms.errors import InputError
from sparktts_ms.generation.attributes import GENDERS

EXAMPLE_LINE = '{"audio": ..., "text": ...}'


@dataclass(frozen=True)
class ManifestEntry:
    """One line of a manifest."""

    audio: Path
    text: str
    speaker: str | None = None
    gender: str | None = None


def read_manifest(path: Path) -> list[ManifestEntry]:
    """All entries of the file at `path`. Raises InputError, naming the line that is malformed."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError("{subject} is not UTF-8 text.", "Save it as UTF-8.", subject=path) from None
    except OSError as problem:
        raise InputError(f"The manifest {{subject}} cannot be read: {problem.strerror}.",
                         subject=path) from None
    entries = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                entries.append(_parse_entry(line, path.parent))
            except InputError as error:
                raise InputError(f"{{subject}} line {number}: {error.problem}", error.hint,
                                 subject=path) from None
    if not entries:
        raise InputError("The manifest {subject} is empty.",
                         f"Each line is a JSON object: {EXAMPLE_LINE}.", subject=path)
    return entries


def _parse_entry(line: str, folder: Path) -> ManifestEntry:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise InputError("no JSON object.", f"Write {EXAMPLE_LINE}.")
    for key in ("audio", "text"):
        if not isinstance(values.get(key), str) or not values[key].strip():
            raise InputError(f"no {key}.")
    for key in ("speaker", "gender"):
        if not isinstance(values.get(key), str | None):
            raise InputError(f"{key} must be a string.")
    gender = values.get("gender")
    if gender is not None and gender not in GENDERS:
        raise InputError(f"gender is {gender!r}.",
                         f"It must be one of {', '.join(GENDERS)}, or left out.")
    text = values["text"].strip()
    return ManifestEntry(folder / values["audio"], text, values.get("speaker"), gender)
