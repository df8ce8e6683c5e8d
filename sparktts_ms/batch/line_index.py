"""Which lines there were, by id, in a file: a million ids would take a lot of memory."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sparktts_ms.errors import OutputError

NAME = ".line-index"

State = Literal["new", "done", "failed", "duplicate"]


@dataclass(frozen=True)
class Claim:
    """What is known of a line's id. state: "duplicate" if another line of the input has it, of the
    number `number`. changed: whether the line was another one when it was done, or failed."""

    state: State
    number: int = 0
    changed: bool = False


class LineIndex:
    """Made anew from the manifest by every run. done, failed: lines that the manifest has. Raises
    OutputError."""

    def __init__(self, folder: Path):
        self._path = folder / NAME
        try:
            self._path.unlink(missing_ok=True)
            self._database = sqlite3.connect(self._path, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise self._unwritable(getattr(error, "strerror", None) or error) from None
        self._execute("PRAGMA journal_mode = OFF")
        self._execute("PRAGMA synchronous = OFF")
        self._execute("CREATE TABLE lines (id TEXT PRIMARY KEY, digest TEXT, failed INT, "
                      "number INT) WITHOUT ROWID")
        self._execute("BEGIN")

    def add(self, line_id: str, digest: str, failed: bool) -> None:
        """Note an entry of the manifest; the last one of an id counts."""
        self._execute("INSERT OR REPLACE INTO lines VALUES (?, ?, ?, 0)", line_id, digest,
                      int(failed))

    def count(self) -> tuple[int, int]:
        """Lines that are done, and that failed."""
        (row,) = self._execute("SELECT count(*), total(failed) FROM lines")
        return int(row[0] - row[1]), int(row[1])

    def claim(self, line_id: str, digest: str, number: int) -> Claim:
        """Note a line of the input, before anything is done for it."""
        rows = self._execute("SELECT digest, failed, number FROM lines WHERE id = ?", line_id)
        if not rows:
            self._execute("INSERT INTO lines VALUES (?, ?, 0, ?)", line_id, digest, number)
            return Claim("new")
        known_digest, failed, known_number = rows[0]
        if known_number:
            return Claim("duplicate", known_number)
        self._execute("UPDATE lines SET number = ? WHERE id = ?", number, line_id)
        return Claim("failed" if failed else "done", changed=known_digest != digest)

    def close(self) -> None:
        """Remove the file."""
        self._database.close()
        self._path.unlink(missing_ok=True)

    def _execute(self, statement: str, *values: str | int) -> list[tuple]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._unwritable(error) from None

    def _unwritable(self, reason: object) -> OutputError:
        return OutputError(f"{{subject}} cannot be written: {reason}.",
                           "Free disk space or choose another folder.", subject=self._path)
