"""A folder for uploads and results; what is older than an hour is removed."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import threading
import time
from pathlib import Path

from sparktts_ms.files import atomic_write

MINUTE = 60.0


class TempFiles:
    """Files in folders with unguessable names. max_age: seconds after which they are removed."""

    def __init__(self, max_age: float = 60 * MINUTE):
        self.folder = Path(tempfile.mkdtemp(prefix="spark-tts-")).resolve()
        self.max_age = max_age
        self._closed = threading.Event()
        self._cleaner = threading.Thread(target=self._clean, daemon=True)
        self._cleaner.start()

    def new_path(self, name: str) -> Path:
        """A path that ends with `name`, in a folder that does not exist yet."""
        return self.folder / secrets.token_hex(16) / name

    def write(self, name: str, content: bytes) -> Path:
        """Write a new file. Raises OutputError."""
        path = self.new_path(name)
        with atomic_write(path) as file:
            file.write(content)
        return path

    def copy(self, source: Path) -> Path:
        return self.write(source.name, source.read_bytes())

    def remove(self, path: Path) -> None:
        """Remove a file and its folder."""
        shutil.rmtree(path.parent, ignore_errors=True)

    def remove_old(self) -> None:
        """Remove files and empty folders that are older than `max_age`."""
        oldest = time.time() - self.max_age
        for folder, _, names in os.walk(self.folder, topdown=False):
            for path in (*map(Path(folder).joinpath, names), Path(folder)):
                with contextlib.suppress(OSError):
                    if path != self.folder and path.lstat().st_mtime < oldest:
                        path.rmdir() if path.is_dir() else path.unlink()

    def close(self) -> None:
        """Remove everything."""
        self._closed.set()
        self._cleaner.join()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _clean(self) -> None:
        while not self._closed.wait(min(self.max_age, 5 * MINUTE)):
            self.remove_old()
