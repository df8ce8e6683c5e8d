"""Packed weights, kept in a cache folder: a second start reads them instead of reading, fusing and
packing a checkpoint's tensors.

A file is named after all that its content depends on: the source file's content, the code, the
CPU kernels, and settings. Hashing a source file takes seconds, so its hash is remembered together
with the file's size, times, and inode; a change of one of them hashes it again. Likewise a kept
file's checksums are verified again when it has changed, and after a restart of the machine, at
which its data may have been lost.

Nothing here is needed: where the folder cannot be read or written, belongs to another user, or has
no room, a line of the log says so, and all works as without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sparktts_ms.weights.array_file import ArrayWriter, DamagedFile, read_arrays

logger = logging.getLogger("sparktts_ms")

VARIABLE = "SPARKTTS_WEIGHT_CACHE"      # a folder, or 0 for none
MAX_BYTES = 8 << 30                     # of all files; the least recently used ones go
FREE_BYTES = 1 << 30                    # that stay free on the disk
STALE_SECONDS = 3600                    # after which a file that was not finished goes
SUFFIX = ".weights"
TOUCH_SECONDS = 24 * 3600               # after which a use is noted again
MAX_CONTENTS = 256                      # files of which something is remembered
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MAX_CONTENTS_BYTES = 1 << 20
HASH_BLOCK = 16 << 20
PACKAGE = Path(__file__).resolve().parent.parent
CODE = ("ops", "weights", "qwen2", "bicodec", "wav2vec2")       # rooms that make networks


def default_folder() -> Path | None:
    """The folder that the environment names, else the user's; None where there is to be none."""
    named = os.environ.get(VARIABLE)
    if named:
        return None if named == "0" else Path(named)
    with suppress(RuntimeError):        # no home
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(cache) / "sparktts_ms" / "weights"
    return None


class WeightCache:
    """version: of what computes with the weights, such as the CPU kernels' name. threads: that read
    and hash."""

    def __init__(self, folder: Path, version: str, threads: int = 1):
        self.folder = folder
        self.threads = threads
        self._version = f"{version} {_code_hash()}"
        self._warned = False

    def key(self, sources: Iterable[Path], *settings: object) -> str | None:
        """The name of what is made of these files with these settings; None without a folder."""
        if not self._is_usable():
            return None
        contents = [self._content(path) for path in sources]
        text = json.dumps([self._version, contents, *map(repr, settings)])
        return hashlib.sha256(text.encode()).hexdigest()[:40]

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
            if not _is_own(os.fstat(descriptor), stat.S_ISREG):
                self._warn("holds %s, which other users can write", path.name)
                return None
            verified = [*_state(descriptor), _boot_id()]
            known = self._read_contents().get(str(path)) == verified
            arrays = read_arrays(descriptor, allocate, self.threads, not known)
            if not known or time.time() - verified[1] / 1e9 > TOUCH_SECONDS:
                os.utime(descriptor)            # recently used
                self._remember(str(path), [*_state(descriptor), _boot_id()])
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
                self._remember(str(path), [*_state(path), _boot_id()])
            self._remove_old(key)

    def discard(self, key: str) -> None:
        with suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{SUFFIX}"

    def _warn(self, problem: str, *values: object) -> None:
        if not self._warned:
            logger.warning(f"The cache folder %s {problem}; starting takes longer without it.",
                           self.folder, *values)
        self._warned = True

    def _is_usable(self) -> bool:
        """Whether the folder is there, or can be made, and is this user's alone to write."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                self.folder.mkdir(mode=0o700)
            if _is_own(os.lstat(self.folder), stat.S_ISDIR):
                return True
            self._warn("is not this user's alone to write")
        except OSError as error:
            self._warn("cannot be made: %s", error.strerror)
        return False

    def _content(self, path: Path) -> str:
        """SHA-256 of a file, remembered for as long as the file stays as it is. Raises OSError."""
        name = os.path.realpath(path)
        known = self._read_contents()
        state = _state(name)
        if name in known and known[name][:-1] == state:
            return known[name][-1]
        digest = _hash_file(name, self.threads)
        if _state(name) == state:               # not written to meanwhile
            self._remember(name, [*state, digest])
        return digest

    @property
    def _contents_path(self) -> Path:
        return self.folder / "contents.json"

    def _read_contents(self) -> dict[str, list[Any]]:
        """Path -> `_state` and the hash, or of a kept file, where its checksums were right; empty
        where this file is not sound."""
        try:
            descriptor = os.open(self._contents_path,
                                 os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                if not _is_own(os.fstat(descriptor), stat.S_ISREG):
                    return {}
                known = json.loads(file.read(MAX_CONTENTS_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(known, dict):
            return {}
        return {name: entry for name, entry in known.items() if _is_content(entry)}

    def _remember(self, name: str, entry: list[Any]) -> None:
        known = self._read_contents()
        known.pop(name, None)
        known[name] = entry
        known = dict(list(known.items())[-MAX_CONTENTS:])
        temporary = self.folder / f".{secrets.token_hex(8)}.part"
        with suppress(OSError):
            try:
                with _create(temporary) as file:
                    file.write(json.dumps(known).encode())
                os.replace(temporary, self._contents_path)
            finally:
                temporary.unlink(missing_ok=True)

    def _remove_old(self, key: str) -> None:
        """Delete the least recently used files above MAX_BYTES, but not that of `key`, and what
        was never finished."""
        files = []
        for path in self.folder.iterdir():
            with suppress(OSError):
                status = path.lstat()
                if path.suffix == ".part" and time.time() - status.st_mtime > STALE_SECONDS:
                    path.unlink()
                elif path.suffix == SUFFIX:
                    files.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= MAX_BYTES:
                return
            if path != self._path(key):
                with suppress(OSError):
                    path.unlink()
                    total -= size


class CacheWriter:
    """Writes a file that takes its name when it is complete; after a failure it takes no more."""

    def __init__(self, folder: Path):
        self._temporary = folder / f".{secrets.token_hex(8)}.part"
        self._file: BinaryIO | None = None
        self._failure = ""
        try:
            self._file = _create(self._temporary)
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


def _create(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    return open(descriptor, "wb", buffering=0)


def _is_own(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Whether it is of a kind, and this user's alone to write."""
    return (is_kind(status.st_mode) and status.st_uid == os.geteuid()
            and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _boot_id() -> str:
    """Changes with each start of the machine."""
    with suppress(OSError):
        return BOOT_ID.read_text().strip()
    return ""


def _state(path: str | Path | int) -> list[Any]:
    """Size, times (modified, changed), inode and device of a file."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]


def _is_content(entry: Any) -> bool:
    return (isinstance(entry, list) and len(entry) == 6 and isinstance(entry[-1], str)
            and all(type(number) is int for number in entry[:-1]))


def _hash_file(path: str, threads: int) -> str:
    """SHA-256 of the file's size and of the SHA-256 of each of its blocks, in several threads."""
    size = os.stat(path).st_size

    def block_hash(start: int) -> bytes:
        with open(path, "rb") as file:
            file.seek(start)
            return hashlib.sha256(file.read(HASH_BLOCK)).digest()

    with ThreadPoolExecutor(threads) as pool:
        digests = pool.map(block_hash, range(0, size, HASH_BLOCK))
        return hashlib.sha256(b"".join([str(size).encode(), *digests])).hexdigest()


def _code_hash() -> str:
    """Of the code that makes networks of weights: another order of arrays is another file."""
    digest = hashlib.sha256()
    for room in CODE:
        for path in sorted((PACKAGE / room).glob("*.py")):
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()
