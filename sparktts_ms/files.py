"""Files written whole or not at all, and settings files read with one clear error."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from sparktts_ms.errors import ModelError, OutputError, SparkTTSError


@contextlib.contextmanager
def atomic_write(path: str | Path, overwrite: bool = False) -> Iterator[BinaryIO]:
    """A stream to a nameless neighbour of `path`, which takes the name when the block ends well and is gone otherwise.

    The folder is made if it is missing. Without `overwrite` an existing file stays as it is, even one that came into
    being during the block. Raises OutputError for that and for whatever the file system refuses.
    """
    path = Path(os.path.realpath(path) if overwrite else path)      # through a symbolic link, not over it
    if overwrite and path.exists() and not path.is_file():
        raise OutputError(f"{path} is a folder or a device; name a file.")
    _make_folder(path.parent)
    neighbour = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        with neighbour.open("xb") as stream:
            yield stream
        if overwrite:
            os.replace(neighbour, path)
        else:
            _take_free_name(neighbour, path)
    except FileExistsError:
        raise OutputError(f"{path} exists already and is not overwritten; choose another name or remove it.") from None
    except OSError as problem:
        reason = problem.strerror or problem
        raise OutputError(f"{path} cannot be written: {reason}. Make room or choose another place.") from None
    finally:
        with contextlib.suppress(OSError):
            neighbour.unlink(missing_ok=True)


def check_writable(folder: str | Path) -> None:
    """Make the folder and try to write there, before hours of work depend on it. Raises OutputError."""
    _make_folder(Path(folder))
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as problem:
        raise OutputError(f"Nothing can be written to {folder}: {problem.strerror}. Choose another place.") from None


def unused_path(folder: str | Path, stem: str, suffix: str) -> Path:
    """`stem` + `suffix` in `folder`, or with -2, -3, ... after the stem until nothing has the name.

    The name is free now, not reserved: if somebody else is faster, `write_wav` refuses and nothing is lost.
    """
    numbered = (f"{stem}{suffix}" if n == 1 else f"{stem}-{n}{suffix}" for n in count(1))
    return next(path for name in numbered if not os.path.lexists(path := Path(folder) / name))


def read_mapping(
    path: str | Path,
    error: type[SparkTTSError] = ModelError,
    missing_hint: str = "`python -m cli.download` fetches a whole model directory.",
) -> dict[str, Any]:
    """Parse a JSON (by its suffix) or YAML file that holds a mapping.

    Raises `error` for a file that is missing, unreadable, not UTF-8, malformed, or no mapping.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except FileNotFoundError:
        raise error("{subject} is missing.", missing_hint, subject=path) from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as problem:
        reason = (str(problem).splitlines() or [type(problem).__name__])[0][:160]
        raise error(f"{{subject}} cannot be read: {reason}", subject=path) from None
    if not isinstance(values, dict):
        raise error("{subject} holds no settings.", subject=path)
    return values


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        reason = "a file has that name" if isinstance(problem, FileExistsError) else problem.strerror
        raise OutputError(f"The folder {folder} cannot be made: {reason}. Choose another place.") from None


def _take_free_name(neighbour: Path, path: Path) -> None:
    """Give the finished file its name in one step, so that nobody can come between. Raises FileExistsError."""
    try:
        os.link(neighbour, path)
    except FileExistsError:
        raise
    except OSError:                     # a file system without hard links: claim the name, then fill it
        path.open("xb").close()
        os.replace(neighbour, path)
