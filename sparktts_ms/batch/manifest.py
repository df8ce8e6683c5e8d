"""The manifest: one JSON object a finished line, only ever appended to, that survives a kill."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparktts_ms.errors import OutputError

logger = logging.getLogger("sparktts_ms")

NAME = "manifest.jsonl"
MAX_ENTRY_BYTES = 16 << 20
BLOCK = 1 << 16


class Manifest:
    """An open manifest. An entry is written in one piece; what a kill left of one is cut off when
    the manifest is opened, so that its line is done again.

    entries: written so far. Raises OutputError; then the manifest ends as it did before.
    """

    def __init__(self, folder: Path):
        self.path = folder / NAME
        self._size = 0
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self.path, flags, 0o644)
            self._size = os.lseek(self._descriptor, 0, os.SEEK_END)
            self._mend()
        except OSError as error:
            raise self._unwritable(error) from None

    def append(self, entry: dict[str, Any]) -> None:
        """Add an entry. Raises OutputError."""
        text = json.dumps(entry, ensure_ascii=False) + "\n"
        remaining = memoryview(text.encode(errors="backslashreplace"))
        size = len(remaining)
        try:
            while remaining:
                remaining = remaining[os.write(self._descriptor, remaining):]
        except OSError as error:
            os.ftruncate(self._descriptor, self._size)
            raise self._unwritable(error) from None
        self._size += size

    def close(self) -> None:
        """Close the file, once its content is on the disk."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._unwritable(error) from None
        finally:
            os.close(self._descriptor)

    def _mend(self) -> None:
        """Cut off what follows the last complete entry."""
        end = self._size
        while end > 0:
            start = max(0, end - BLOCK)
            block = os.pread(self._descriptor, end - start, start)
            if b"\n" in block:
                end = start + block.rindex(b"\n") + 1
                break
            end = start
        if end < self._size:
            logger.warning("%s: the last entry was cut short; its line is done again.", self.path)
            os.ftruncate(self._descriptor, end)
            self._size = end

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(f"{{subject}} cannot be written: {error.strerror or error}.",
                           "Free disk space or choose another folder.", subject=self.path)


def read_entries(folder: Path) -> Iterator[dict[str, Any]]:
    """The entries of a manifest, one at a time; none if there is no manifest. Lines that are no
    entries are left out, with a warning. Raises OutputError."""
    path = folder / NAME
    damaged = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(MAX_ENTRY_BYTES):
                entry = _parse(line)
                if entry is not None:
                    yield entry
                elif line.strip():
                    damaged += 1
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{{subject}} cannot be read: {error.strerror}.",
                          "Choose another folder.", subject=path) from None
    if damaged:
        logger.warning("%s: %d lines are damaged and left out.", path, damaged)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    valid = isinstance(entry, dict) and isinstance(entry.get("id"), str)
    return entry if valid and _is_unicode(entry["id"], str(entry.get("digest"))) else None


def _is_unicode(*texts: str) -> bool:
    """Whether no text has half a surrogate pair, which the line index cannot keep."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True
