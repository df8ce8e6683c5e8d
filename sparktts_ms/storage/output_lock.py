"""One process in an output folder at a time: a lock that ends with its process."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sparktts_ms.errors import InputError, OutputError
from sparktts_ms.files import check_writable

LOCK_FILE = ".lock"

_held: set[str] = set()     # folders that this process has locked


@contextlib.contextmanager
def lock_output(folder: Path) -> Iterator[None]:
    """Make the folder and keep other processes from writing there; within the block, again is
    free.

    The lock file holds the process's id. After a kill it stays, but no longer locks, and the next
    run takes it over. A new folder goes if it stays empty. Raises InputError if another process has
    the lock.
    """
    name = os.path.realpath(folder)
    if name in _held:
        yield
        return
    is_new = not os.path.exists(name)
    check_writable(folder)
    path = Path(name) / LOCK_FILE
    with _locked(path, folder) as file:
        file.truncate()
        file.write(f"{os.getpid()}\n".encode())
        file.flush()
        _held.add(name)
        try:
            yield
        finally:
            _held.discard(name)
            path.unlink(missing_ok=True)
            if is_new:
                with contextlib.suppress(OSError):      # something was written
                    os.rmdir(name)


@contextlib.contextmanager
def _locked(path: Path, folder: Path) -> Iterator[BinaryIO]:
    """The lock file, open and locked."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise OutputError(f"{{subject}} cannot be written: {error.strerror}.",
                              subject=path) from None
        with open(descriptor, "r+b", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = file.read(20).strip().decode("ascii", "replace")
                process = f" (process {owner})" if owner.isdigit() else ""
                raise InputError(f"Another run{process} is writing to {{subject}}.",
                                 "Wait until it ends, or choose another folder.",
                                 subject=folder, code="output_in_use") from None
            except OSError as error:        # a file system without locks
                raise OutputError(f"{{subject}} cannot be locked: {error.strerror}.",
                                  "Choose a folder on another file system.",
                                  subject=path) from None
            # A run that ended meanwhile may have removed the file that is locked now.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    yield file
                    return
