"""Recordings and voice files that visitors upload: how much is kept, and for how long.

A file is kept as long as other temporary files. Beyond a visitor's share their own oldest uploads
make room, unless they are so new that they may be in use.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sparktts_ms.errors import InputError
from sparktts_ms.files import atomic_write
from webui.temp_files import MINUTE, TempFiles

IN_USE_SECONDS = 5 * MINUTE     # how long an upload is taken to be in use
MAX_NAME_BYTES = 120
BLOCK = 1 << 18                 # bytes copied at a time


@dataclass
class _Upload:
    """A file that is kept."""

    visitor: str
    num_bytes: int
    time: float


class Uploads:
    """Thread-safe. A visitor is whoever the server can tell apart: an address or a key.

    max_bytes: of all uploads together, those that are arriving included; max_visitor_bytes: of one
    visitor.
    """

    def __init__(self, temp_files: TempFiles, max_bytes: int, max_visitor_bytes: int):
        self.temp_files = temp_files
        self.max_bytes = max_bytes
        self.max_visitor_bytes = max_visitor_bytes
        self._kept: dict[Path, _Upload] = {}
        self._arriving: dict[str, int] = {}             # bytes by visitor
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def reserve(self, visitor: str, num_bytes: int) -> Iterator[None]:
        """Room for an upload while it arrives. Raises InputError with code `busy`."""
        with self._lock:
            self._make_room(visitor, num_bytes)
            self._arriving[visitor] = self._arriving.get(visitor, 0) + num_bytes
        try:
            yield
        finally:
            with self._lock:
                self._arriving[visitor] -= num_bytes
                if not self._arriving[visitor]:
                    del self._arriving[visitor]

    def keep(self, visitor: str, file: BinaryIO, name: str) -> Path:
        """Keep an uploaded file within the block that reserves its room; returns its path. The
        same file is kept once. Raises OutputError."""
        digest = hashlib.sha256()
        num_bytes = 0
        file.seek(0)
        while block := file.read(BLOCK):
            digest.update(block)
            num_bytes += len(block)
        path = self.temp_files.folder / digest.hexdigest() / clean_name(name)
        file.seek(0)
        with atomic_write(path, overwrite=True) as copy:
            while block := file.read(BLOCK):
                copy.write(block)
        with self._lock:
            self._kept.setdefault(path, _Upload(visitor, num_bytes, 0.0)).time = time.time()
        return path

    def _make_room(self, visitor: str, num_bytes: int) -> None:
        now = time.time()
        for path in [path for path in self._kept if not path.exists()]:
            del self._kept[path]                        # removed after an hour
        own = self._arriving.get(visitor, 0) + num_bytes
        own += sum(upload.num_bytes for upload in self._kept.values() if upload.visitor == visitor)
        removable = sorted((upload.time, path) for path, upload in self._kept.items()
                           if upload.visitor == visitor and now - upload.time > IN_USE_SECONDS)
        for _, path in removable:
            if own <= self.max_visitor_bytes:
                break
            own -= self._kept.pop(path).num_bytes
            self.temp_files.remove(path)
        total = sum(self._arriving.values()) + num_bytes
        total += sum(upload.num_bytes for upload in self._kept.values())
        if own > self.max_visitor_bytes or total > self.max_bytes:
            raise InputError("Too many recordings were uploaded.", "Please try again in a while.",
                             code="busy")


def clean_name(name: str) -> str:
    """A file name that is safe in any folder and address, with its suffix."""
    stem, suffix = os.path.splitext(re.split(r"[/\\]", name)[-1])
    stem, suffix = (re.sub(r"[^\w .-]", "", part).strip(" .") for part in (stem, suffix))
    stem = stem.encode()[:MAX_NAME_BYTES].decode(errors="ignore") or "file"
    suffix = re.sub(r"\W", "", suffix)[:10]
    return f"{stem}.{suffix}" if suffix else stem
