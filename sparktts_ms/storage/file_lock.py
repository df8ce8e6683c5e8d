"""A lock between processes: a file that one of them holds open. It ends with the process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class FileLock:
    """path: of the lock's file, which is made. Not for several threads of one process."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._descriptor: int | None = None

    def acquire(self, wait: bool = True) -> bool:
        """Whether the lock is ours now; without `wait` it may belong to another. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back; its file stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
