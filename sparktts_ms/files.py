"""Files written completely or not at all, and settings files read with one clear error."""

import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from sparktts_ms.errors import ModelError, OutputError, SparkTTSError


@contextlib.contextmanager
def atomic_write(path: str | Path, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes `path` if the block succeeds and is deleted otherwise.

    A missing folder is made. Without `overwrite` an existing file is kept, even one that appears
    during the block. Raises OutputError for that and for whatever the file system refuses.
    """
    path = Path(os.path.realpath(path) if overwrite else path)      # the target of a symbolic link
    if overwrite and path.exists() and not path.is_file():
        raise OutputError("{subject} is a folder or a device.", "Name a file.", subject=path)
    _make_folder(path.parent)
    temporary = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        with temporary.open("xb") as stream:
            yield stream
        if overwrite:
            os.replace(temporary, path)
        else:
            _rename_to_new(temporary, path)
    except FileExistsError:
        problem = "{subject} exists already and is not overwritten."
        raise OutputError(problem, "Choose another name or remove it.", subject=path) from None
    except OSError as error:
        problem = f"{{subject}} cannot be written: {error.strerror or error}."
        hint = "Free disk space or choose another folder."
        raise OutputError(problem, hint, subject=path) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_writable(folder: str | Path) -> None:
    """Make the folder and write there, before hours of work depend on it. Raises OutputError."""
    _make_folder(Path(folder))
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        problem = f"Nothing can be written to {{subject}}: {error.strerror}."
        raise OutputError(problem, "Choose another folder.", subject=folder) from None


def unused_path(folder: str | Path, stem: str, suffix: str) -> Path:
    """`stem` + `suffix` in `folder`, or with -2, -3, ... after the stem until the name is free.

    The name is not reserved: if another process takes it first, `atomic_write` refuses.
    """
    path = Path(folder) / f"{stem}{suffix}"
    number = 1
    while os.path.lexists(path):
        number += 1
        path = path.with_name(f"{stem}-{number}{suffix}")
    return path


def read_mapping(
    path: str | Path,
    error: type[SparkTTSError] = ModelError,
    missing_hint: str = "`python -m cli.download` fetches a whole model directory.",
) -> dict[str, Any]:
    """Read a JSON (by its suffix) or YAML file that holds a mapping.

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
    except OSError as error:
        is_file = isinstance(error, FileExistsError)
        reason = "a file has that name" if is_file else error.strerror
        problem = f"The folder {{subject}} cannot be made: {reason}."
        raise OutputError(problem, "Choose another folder.", subject=folder) from None


def _rename_to_new(temporary: Path, path: Path) -> None:
    """Rename atomically unless `path` exists; then raise FileExistsError."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:                     # a file system without hard links: claim the name first
        path.open("xb").close()
        os.replace(temporary, path)
