"""A cache folder: files that are named after all that their content depends on.

Hashing a source file takes seconds, so its hash is remembered together with the file's size, times,
and inode; a change of one of them hashes it again.

Nothing here is needed: where the folder cannot be read or written, belongs to another user, or has
no room, a line of the log says so, and all works as without it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

logger = logging.getLogger("sparktts_ms")

STALE_SECONDS = 3600                    # after which a file that was not finished goes
MAX_CONTENTS = 256                      # files of which something is remembered
MAX_CONTENTS_BYTES = 1 << 20
HASH_BLOCK = 16 << 20
PACKAGE = Path(__file__).resolve().parent.parent


class CacheFolder:
    """version: of what computes the files' content, such as the CPU kernels' name. threads: that
    read and hash."""

    suffix: str                         # of the files
    code: tuple[str, ...]               # rooms and modules on which the files' content depends
    consequence: str                    # of having no folder

    def __init__(self, folder: Path, version: str, threads: int = 1):
        self.folder = folder
        self.threads = threads
        self._version = f"{version} {_code_hash(self.code)}"
        self._warned = False
        self._hashes: dict[str, list[Any]] = {}     # as in the folder, which may be read-only

    def key(self, sources: Iterable[Path], *settings: object) -> str | None:
        """The name of what is made of these files with these settings; None without a folder."""
        if not self._is_usable():
            return None
        contents = [self._content(path) for path in sources]
        text = json.dumps([self._version, contents, *map(repr, settings)])
        return hashlib.sha256(text.encode()).hexdigest()[:40]

    def discard(self, key: str) -> None:
        with suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{self.suffix}"

    def _warn(self, problem: str, *values: object) -> None:
        if not self._warned:
            logger.warning(f"The cache folder %s {problem}; {self.consequence}.",
                           self.folder, *values)
        self._warned = True

    def _is_usable(self) -> bool:
        """Whether the folder is there, or can be made, and is this user's alone to write."""
        try:
            make_private(self.folder)
            if is_own(os.lstat(self.folder), stat.S_ISDIR):
                return True
            self._warn("is not this user's alone to write")
        except OSError as error:
            self._warn("cannot be made: %s", error.strerror)
        return False

    def _content(self, path: Path) -> str:
        """SHA-256 of a file, remembered for as long as the file stays as it is. Raises OSError."""
        name = os.path.realpath(path)
        known = self._hashes.get(name) or self._read_contents().get(name)
        state = file_state(name)
        if known is not None and known[:-1] == state:
            return known[-1]
        digest = _hash_file(name, self.threads)
        if file_state(name) == state:           # not written to meanwhile
            self._hashes[name] = [*state, digest]
            self._remember(name, [*state, digest])
        return digest

    @property
    def _contents_path(self) -> Path:
        return self.folder / "contents"

    def _read_contents(self) -> dict[str, list[Any]]:
        """Path -> `file_state` and the hash, or of a kept file, where its checksums were right;
        empty where this file is not sound."""
        try:
            descriptor = os.open(self._contents_path,
                                 os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                if not is_own(os.fstat(descriptor), stat.S_ISREG):
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
        with suppress(OSError):
            self._write(self._contents_path, json.dumps(known).encode())

    def _write(self, path: Path, content: bytes) -> None:
        """Write a file that this user alone can read, as a whole or not at all. Raises OSError."""
        temporary = self.folder / f".{secrets.token_hex(8)}.part"
        try:
            with create_file(temporary) as file:
                file.write(content)
            os.replace(temporary, path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _remove_old(self, kept: Path, limit: int, size: Callable[[os.stat_result], int]) -> None:
        """Delete the least recently used files, until the sum of their sizes is at most `limit`,
        but not `kept`; and what was never finished."""
        files = []
        for path in self.folder.iterdir():
            with suppress(OSError):
                status = path.lstat()
                if path.suffix == ".part" and time.time() - status.st_mtime > STALE_SECONDS:
                    path.unlink()
                elif path.suffix == self.suffix:
                    files.append((status.st_mtime_ns, size(status), path))
        total = sum(size for _, size, _ in files)
        for _, removed, path in sorted(files):
            if total <= limit:
                return
            if path != kept:
                with suppress(OSError):
                    path.unlink()
                    total -= removed


def user_folder(name: str) -> Path | None:
    """The user's cache folder of that name; None without a home."""
    with suppress(RuntimeError):
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(cache) / "sparktts_ms" / name
    return None


def make_private(folder: Path) -> None:
    """Make a folder, unless it is there, for this user alone. Raises OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)


def create_file(path: Path) -> BinaryIO:
    """A new file, unbuffered, that this user alone can read. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    return open(descriptor, "wb", buffering=0)


def is_own(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Whether it is of a kind, and this user's alone to write."""
    return (is_kind(status.st_mode) and status.st_uid == os.geteuid()
            and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def file_state(path: str | Path | int) -> list[Any]:
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


def _code_hash(names: Iterable[str]) -> str:
    """Of the code that computes the files' content: another order of arrays is another file."""
    digest = hashlib.sha256()
    for name in names:
        path = PACKAGE / name
        for module in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(module.read_bytes() + b"\0")
    return digest.hexdigest()
