"""Packed weights, kept in a cache folder: a second start reads them instead of reading, fusing and
packing a checkpoint's tensors.

A file is named after all that its content depends on: the source file's content, the code, the
CPU kernels, and settings. A kept file's checksums are verified again when it has changed, and after
a restart of the machine, at which its data may have been lost.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sparktts_ms.weights.array_file import ArrayWriter, DamagedFile, read_arrays
from sparktts_ms.weights.cache_folder import (
    CacheFolder,
    create_file,
    file_state,
    is_own,
    user_folder,
)

logger = logging.getLogger("sparktts_ms")

VARIABLE = "SPARKTTS_WEIGHT_CACHE"      # a folder, or 0 for none
MAX_BYTES = 8 << 30                     # of all files; the least recently used ones go
FREE_BYTES = 1 << 30                    # that stay free on the disk
TOUCH_SECONDS = 24 * 3600               # after which a use is noted again
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def default_folder() -> Path | None:
    """The folder that the environment names, else the user's; None where there is to be none."""
    named = os.environ.get(VARIABLE)
    if named:
        return None if named == "0" else Path(named)
    return user_folder("weights")


class WeightCache(CacheFolder):
    """The kept arrays of networks."""

    suffix = ".weights"
    code = ("ops", "weights", "qwen2", "bicodec", "wav2vec2")       # rooms that make networks
    consequence = "starting takes longer without it"

    def read(self, key: str, allocate: Callable[[int], np.ndarray] | None
             ) -> list[np.ndarray] | None:
        """The arrays that were kept as `key`, or None. allocate: see `read_arrays`. A damaged file
        is deleted."""
        path = self._path(key)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._warn("cannot be read: %s", error.strerror)
            return None
        try:
            if not is_own(os.fstat(descriptor), stat.S_ISREG):
                self._warn("holds %s, which other users can write", path.name)
                return None
            verified = [*file_state(descriptor), _boot_id()]
            known = self._read_contents().get(str(path)) == verified
            arrays = read_arrays(descriptor, allocate, self.threads, not known)
            if not known or time.time() - verified[1] / 1e9 > TOUCH_SECONDS:
                os.utime(descriptor)            # recently used
                self._remember(str(path), [*file_state(descriptor), _boot_id()])
            return arrays
        except DamagedFile as error:
            logger.warning("Packed weights in the cache are damaged (%s); they are made again.",
                           error)
            self.discard(key)
        except OSError as error:
            self._warn("cannot be read: %s", error.strerror)
        finally:
            os.close(descriptor)
        return None

    @contextlib.contextmanager
    def writer(self, key: str) -> Iterator[CacheWriter]:
        """Keeps what is appended in the block, unless it fails."""
        writer = CacheWriter(self.folder)
        try:
            yield writer
            path = self._path(key)
            failure = writer.finish(path)
        finally:
            writer.close()
        if failure:
            self._warn("cannot keep packed weights: %s", failure)
        else:
            with suppress(OSError):
                self._remember(str(path), [*file_state(path), _boot_id()])
            self._remove_old(path, MAX_BYTES, lambda status: status.st_size)


class CacheWriter:
    """Writes a file that takes its name when it is complete; after a failure it takes no more."""

    def __init__(self, folder: Path):
        self._temporary = folder / f".{secrets.token_hex(8)}.part"
        self._file: BinaryIO | None = None
        self._failure = ""
        try:
            self._file = create_file(self._temporary)
            self._writer = ArrayWriter(self._file)
        except OSError as error:
            self._failure = error.strerror or str(error)

    def append(self, array: np.ndarray) -> None:
        if self._failure:
            return
        try:
            if shutil.disk_usage(self._temporary.parent).free - array.nbytes < FREE_BYTES:
                self._failure = "the disk is nearly full"
            else:
                self._writer.append(array)
        except OSError as error:
            self._failure = error.strerror or str(error)
        if self._failure:
            self.close()

    def finish(self, path: Path) -> str:
        """Give the file its name; returns what kept it from being written."""
        if self._failure:
            return self._failure
        assert self._file is not None
        try:
            self._writer.finish()
            os.replace(self._temporary, path)
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)


def _boot_id() -> str:
    """Changes with each start of the machine."""
    with suppress(OSError):
        return BOOT_ID.read_text().strip()
    return ""
