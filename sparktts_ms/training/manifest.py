"""Manifests in JSON Lines: one recording a line.

Keys are `audio` (a path, relative to the manifest) and `text`, optionally `speaker` and `gender`
("female" or "male"). Other keys are ignored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sparktts_ms.errors import InputError
from sparktts_ms.generation.attributes import GENDERS


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
        raise InputError("{subject} is not UTF-8 text.", subject=path) from None
    except OSError as problem:
        reason = f"The manifest {{subject}} cannot be read: {problem.strerror}."
        raise InputError(reason, subject=path) from None
    entries = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                entries.append(_parse_entry(line, path.parent))
            except ValueError as problem:
                raise InputError(f"{{subject}} line {number}: {problem}", subject=path) from None
    if not entries:
        raise InputError("The manifest {subject} is empty.", subject=path)
    return entries


def _parse_entry(line: str, folder: Path) -> ManifestEntry:
    """Raises ValueError for a malformed line."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ValueError('no JSON object; write {"audio": ..., "text": ...}.')
    for key in ("audio", "text"):
        if not isinstance(values.get(key), str) or not values[key].strip():
            raise ValueError(f"no {key}.")
    for key in ("speaker", "gender"):
        if not isinstance(values.get(key), str | None):
            raise ValueError(f"{key} must be a string.")
    gender = values.get("gender")
    if gender not in (None, *GENDERS):
        raise ValueError(f"gender is {gender!r}; it must be one of {', '.join(GENDERS)}.")
    return ManifestEntry(folder / values["audio"], values["text"].strip(), values.get("speaker"),
                         gender)
