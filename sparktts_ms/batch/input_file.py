"""The lines of a file or a pipe, one at a time, each of at most so many bytes."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sparktts_ms.errors import InputError
from sparktts_ms.files import UTF8_BOM

MAX_LINE_BYTES = 1 << 20
STANDARD_INPUT = "-"


@dataclass(frozen=True)
class InputLine:
    """number: from 1, blank lines counted. size: in bytes, of the line in the file. content:
    without the line's end; None if it is too long."""

    number: int
    size: int
    content: bytes | None


class InputFile:
    """An open input.

    size: in bytes; None: of a pipe. folder: where relative paths in it begin. position: in bytes,
    after the line that was read last.
    """

    def __init__(self, name: str, file: BinaryIO, size: int | None, folder: Path):
        self.name = name
        self.size = size
        self.folder = folder
        self.position = 0
        self._file = file

    def lines(self) -> Iterator[InputLine]:
        """All lines that are not blank; of one that is too long no more than the beginning is kept
        in memory. Raises InputError where the input cannot be read."""
        number = 0
        while content := self._read_line(MAX_LINE_BYTES + 1):
            number += 1
            size = len(content)
            too_long = size > MAX_LINE_BYTES and not content.endswith(b"\n")
            rest = content if too_long else b"\n"
            while rest and not rest.endswith(b"\n"):
                rest = self._read_line(MAX_LINE_BYTES)
                size += len(rest)
            self.position += size
            if number == 1:
                content = content.removeprefix(UTF8_BOM)
            content = content.strip()
            if too_long or content:
                yield InputLine(number, size, None if too_long else content)

    def _read_line(self, max_bytes: int) -> bytes:
        try:
            return self._file.readline(max_bytes)
        except OSError as error:
            raise _unreadable(self.name, error) from None


@contextmanager
def open_input(name: str) -> Iterator[InputFile]:
    """Open a file, a pipe, or with "-" standard input, whose paths begin in the working folder.
    Raises InputError."""
    if name == STANDARD_INPUT:
        if sys.stdin is None:
            raise InputError("Standard input is closed.", "Name a file.")
        yield InputFile("standard input", sys.stdin.buffer, None, Path())
        return
    path = Path(name)
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from None
    with file:
        status = os.fstat(file.fileno())
        size = status.st_size if stat.S_ISREG(status.st_mode) else None
        yield InputFile(name, file, size, path.parent)


def _unreadable(name: str, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or error
    return InputError(f"The input {{subject}} cannot be read: {reason}.",
                      "Check its name and its permissions.", subject=name)
