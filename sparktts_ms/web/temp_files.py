"""A folder for what visitors upload and hear: nothing in it grows old, and it goes when the program goes."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import threading
import time
from pathlib import Path

MINUTE = 60.0


class Workspace:
    """Names in it cannot be guessed: whoever knows one was given it. A file is removed `age` seconds after it was written."""

    def __init__(self, age: float = 60 * MINUTE):
        self.folder = Path(tempfile.mkdtemp(prefix="spark-tts-")).resolve()
        self.age = age
        self._closed = threading.Event()
        self._sweeper = threading.Thread(target=self._keep_sweeping, name="spark-tts-sweeper", daemon=True)
        self._sweeper.start()

    def new(self, name: str) -> Path:
        """A path that ends with `name`, in a folder of its own."""
        folder = self.folder / secrets.token_hex(16)
        return folder / name

    def sweep(self) -> None:
        """Remove what is old, and folders that became empty."""
        for path, _, files in os.walk(self.folder, topdown=False):
            for name in files:
                with contextlib.suppress(OSError):
                    if time.time() - os.lstat(file := os.path.join(path, name)).st_mtime > self.age:
                        os.unlink(file)
            with contextlib.suppress(OSError):
                if Path(path) != self.folder and time.time() - os.stat(path).st_mtime > self.age:
                    os.rmdir(path)

    def close(self) -> None:
        """Remove all of it."""
        self._closed.set()
        self._sweeper.join()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep_sweeping(self) -> None:
        while not self._closed.wait(min(self.age, 5 * MINUTE)):
            self.sweep()
