"""Files of names of voices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparktts_ms.errors import InputError, quoted
from sparktts_ms.files import read_mapping
from sparktts_ms.generation.attributes import VoiceDescription

MAX_NAMES = 1000            # in a file
MAX_NAME_LENGTH = 80        # characters

VoiceNames = Mapping[str, str | VoiceDescription]


def read_names(path: str | Path) -> dict[str, str | VoiceDescription]:
    """Read a YAML or JSON file of names: each leads to another name, or to a mapping of gender,
    pitch, speed and seed.

        alloy: Anna                                     # a saved voice
        nova: {gender: female, pitch: high, seed: 7}    # generated
        en-US-AvaNeural: nova                           # a name that other servers' clients send

    Raises InputError for anything else; whether there are such voices, VoiceLibrary finds out.
    """
    entries = read_mapping(path, InputError, missing_hint="Give the file of names.")
    if len(entries) > MAX_NAMES:
        raise InputError(f"{{subject}} has more than {MAX_NAMES} names.", subject=path)
    return {_checked_name(name, path): _parse_entry(name, entry, path)
            for name, entry in entries.items()}


def _checked_name(name: Any, path: str | Path) -> str:
    if not isinstance(name, str):
        raise InputError(f"{{subject}} has the name {quoted(name)}, which is no text.",
                         "Put it in quotes.", subject=path)
    if not 0 < len(name) <= MAX_NAME_LENGTH or not name.isprintable() or name != name.strip():
        raise InputError(f"{{subject}} has the name {quoted(name)}; a name has 1 to "
                         f"{MAX_NAME_LENGTH} printable characters.", subject=path)
    return name


def _parse_entry(name: str, entry: Any, path: str | Path) -> str | VoiceDescription:
    if isinstance(entry, str) and entry.strip():
        return entry.strip()
    if not isinstance(entry, dict) or "gender" not in entry:
        raise InputError(f"{quoted(name)} in {{subject}} is {quoted(entry)}.",
                         "Give the name of a voice, or gender, pitch, speed and seed.",
                         subject=path)
    unknown = [key for key in entry if key not in ("gender", "pitch", "speed", "seed")]
    if unknown:
        raise InputError(f"{quoted(name)} in {{subject}} has {quoted(unknown[0])}.",
                         "A voice has gender, pitch, speed and seed.", subject=path)
    try:
        return VoiceDescription(**entry)
    except InputError as error:
        problem = error.problem
    except TypeError:                   # a list or a mapping
        problem = f"{quoted(entry)} is no voice."
    raise InputError(f"{quoted(name)} in {{subject}}: {problem}", subject=path)
