"""A disk that can be full, for the folders of the server under test."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import subprocess
from pathlib import Path

import psutil

SIZE = 64 << 20             # bytes
CLONE_NEWNS = 0x20000       # of Linux's <sched.h>


class SmallDisk:
    """A file system of SIZE bytes at `folder`, which only this process and its children see, and
    which ends with them. Where none may be mounted (`mounted` is False), a process is kept from
    writing files instead, which is an error of the operating system all the same.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.full = False
        folder.mkdir(parents=True, exist_ok=True)
        self.mounted = os.geteuid() == 0 and _own_mounts() and _mount(folder)
        self._limited: psutil.Process | None = None

    def fill(self, process: psutil.Process) -> None:
        """Leave no byte free for this process, until `free`."""
        if self.mounted:
            with (self.folder / "filler").open("wb", buffering=0) as filler:
                for size in (1 << 16, 4096, 1):
                    with contextlib.suppress(OSError):
                        while True:
                            filler.write(bytes(size))
        else:
            self._limited = process
            process.rlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        self.full = True

    def free(self) -> None:
        self.full = False
        (self.folder / "filler").unlink(missing_ok=True)
        if self._limited is not None and self._limited.is_running():
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            self._limited.rlimit(resource.RLIMIT_FSIZE, unlimited)
        self._limited = None

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], capture_output=True)
            self.mounted = False


def _own_mounts() -> bool:
    """Let what this process mounts be seen by itself and its children only."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNS):
            return False
    except (OSError, AttributeError):
        return False
    return _run("mount", "--make-rprivate", "/")


def _mount(folder: Path) -> bool:
    return _run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder))


def _run(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False
