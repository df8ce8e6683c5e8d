"""API keys from the environment, which the list of processes does not show."""

from __future__ import annotations

import os
from pathlib import Path

from sparktts_ms.errors import InputError

VARIABLE = "SPARKTTS_API_KEY"               # keys, separated by commas
FILE_VARIABLE = "SPARKTTS_API_KEY_FILE"     # names a file of keys, as secrets of containers are
MAX_FILE = 64 << 10     # bytes


def environment_keys() -> list[str]:
    """All keys that the environment gives, without those of a file that is empty. Raises
    InputError for a file that cannot be read."""
    texts = [os.environ.get(VARIABLE, "")]
    if name := os.environ.get(FILE_VARIABLE):
        texts.append(_read(Path(name)))
    parts = ",".join(texts).replace("\n", ",").split(",")
    return [part for part in map(str.strip, parts) if part]


def _read(path: Path) -> str:
    """Raises InputError, which does not show what is in the file."""
    hint = f"Correct {FILE_VARIABLE}, or give this user the right to read it."
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise InputError(f"The file of API keys {{subject}} cannot be read: {error.strerror}.",
                         hint, subject=path) from None
    if len(content) > MAX_FILE or not content.isascii():
        raise InputError("{subject} is no file of API keys: it has one a line, in ASCII.",
                         f"Correct {FILE_VARIABLE}.", subject=path)
    return content.decode()
