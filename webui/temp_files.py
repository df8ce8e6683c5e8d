"""The workspace: one folder for all temporary files, removed at the end.

A workspace is locked as long as its process lives, however that ends; who starts sweeps those that
dead processes left behind. What is older than an hour is removed meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import BinaryIO

from sparktts_ms.errors import OutputError
from sparktts_ms.files import atomic_write
from sparktts_ms.storage.file_lock import FileLock

MINUTE = 60.0
DAY = 24 * 60 * MINUTE
PREFIX = "spark-tts-"
LOCK = "lock"


class TempFiles:
    """Files in folders with unguessable names. Raises OutputError if there can be no workspace.

    folder: of files that visitors may fetch if they know their paths; private: of other files.
    max_age: seconds after which files are removed.
    """

    def __init__(self, max_age: float = 60 * MINUTE):
        sweep()
        self.workspace, self._lock = _make_workspace()
        self.folder = self.workspace / "files"
        self.private = self.workspace / "private"
        for folder in (self.folder, self.private):
            folder.mkdir()
        self.max_age = max_age
        self._closed = threading.Event()
        self._cleaner = threading.Thread(target=self._clean, daemon=True)
        self._cleaner.start()

    def new_path(self, name: str) -> Path:
        """A path that ends with `name`, in a folder that does not exist yet."""
        return self.folder / secrets.token_hex(16) / name

    def write(self, name: str, content: bytes | BinaryIO) -> Path:
        """Write a new file, of bytes or of what another file holds. Raises OutputError."""
        path = self.new_path(name)
        with atomic_write(path) as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                content.seek(0)
                shutil.copyfileobj(content, file)
        return path

    def copy(self, source: Path) -> Path:
        """A copy under the same name. Raises OutputError."""
        try:
            content = source.read_bytes()
        except OSError as error:
            problem = f"{{subject}} cannot be read: {error.strerror}."
            raise OutputError(problem, subject=source) from None
        return self.write(source.name, content)

    def remove(self, path: Path) -> None:
        """Remove a file and its folder."""
        shutil.rmtree(path.parent, ignore_errors=True)

    def remove_old(self) -> None:
        """Remove files and empty folders that are older than `max_age`."""
        oldest = time.time() - self.max_age
        for top in (self.folder, self.private):
            for folder, _, names in os.walk(top, topdown=False):
                for path in (*map(Path(folder).joinpath, names), Path(folder)):
                    with contextlib.suppress(OSError):
                        if path != top and path.lstat().st_mtime < oldest:
                            path.rmdir() if path.is_dir() else path.unlink()

    def close(self) -> None:
        """Remove everything."""
        self._closed.set()
        self._cleaner.join()
        shutil.rmtree(self.workspace, ignore_errors=True)
        self._lock.release()

    def _clean(self) -> None:
        while not self._closed.wait(min(self.max_age, 5 * MINUTE)):
            self.remove_old()


def sweep() -> None:
    """Remove the workspaces of processes that have died."""
    for path in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if path.is_symlink() or not path.is_dir() or status.st_uid != os.getuid():
                continue
            if not (path / LOCK).exists():          # made right now, or by an earlier version
                if time.time() - status.st_mtime > DAY:
                    shutil.rmtree(path, ignore_errors=True)
                continue
            lock = FileLock(path / LOCK)
            if lock.acquire(wait=False):
                shutil.rmtree(path, ignore_errors=True)
                lock.release()


def _make_workspace() -> tuple[Path, FileLock]:
    """A new workspace and its lock, which is held. Raises OutputError."""
    while True:
        try:
            workspace = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
            lock = FileLock(workspace / LOCK)
            lock.acquire()
        except OSError as error:
            problem = f"There can be no temporary folder: {error.strerror}."
            hint = "Free disk space, or set TMPDIR to another folder."
            raise OutputError(problem, hint) from None
        if lock.path.exists():      # not swept by another process before it was locked
            return workspace, lock
        lock.release()
