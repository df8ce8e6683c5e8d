"""Files written completely or not at all, and settings files read with one clear error."""

import contextlib
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from sparktts_ms.errors import ModelError, OutputError, SparkTTSError, one_line, shortened

MAX_JSON_BYTES = 1 << 20
MAX_YAML_BYTES = 1 << 16        # PyYAML takes up to 2 s for them
MAX_YAML_DEPTH = 50
MISSING_HINT = "`python -m cli.download` fetches a whole model directory."
UTF8_BOM = b"\xef\xbb\xbf"


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


def check_new(path: str | Path) -> None:
    """Raise OutputError unless a new file of that name can be made, as far as it can be told
    without making anything: for the name, and for the folder or the one that it would be made in.
    """
    path = Path(path)
    problem = "{subject} cannot be written: "
    try:
        if os.path.lexists(os.fspath(path)) or not path.name:
            kind = "is a folder." if path.is_dir() else "exists already and is not overwritten."
            raise OutputError(f"{{subject}} {kind}", "Choose another name or remove it.",
                              subject=path)
        os.lstat(path)
    except FileNotFoundError:
        pass
    except NotADirectoryError:
        raise OutputError(f"{problem}a part of its path is a file.", "Choose another folder.",
                          subject=path) from None
    except OSError as error:
        raise OutputError(f"{problem}{error.strerror or error}.", "Choose another name.",
                          subject=path) from None
    folder = path.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{problem}nothing can be written to {shortened(str(folder))}.",
                          "Choose another folder.", subject=path)


def check_writable(folder: str | Path) -> None:
    """Make the folder and write there, before hours of work depend on it. Raises OutputError."""
    _make_folder(Path(folder))
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        problem = f"Nothing can be written to {{subject}}: {error.strerror}."
        raise OutputError(problem, "Choose another folder.", subject=folder) from None


def unused_path(folder: str | Path, stem: str, suffix: str, *others: str) -> Path:
    """`stem` + `suffix` in `folder`, or with -2, -3, ... after the stem until the name is free,
    also with each of the `others` for its suffix.

    The name is not reserved: if another process takes it first, `atomic_write` refuses.
    """
    path = Path(folder) / f"{stem}{suffix}"
    number = 1
    while any(os.path.lexists(path.with_suffix(other)) for other in (suffix, *others)):
        number += 1
        path = path.with_name(f"{stem}-{number}{suffix}")
    return path


def read_file(
    path: str | Path,
    max_bytes: int,
    error: type[SparkTTSError] = ModelError,
    missing_hint: str = "",
    folder: str | Path | None = None,
) -> bytes:
    """The content of a regular file of at most `max_bytes` bytes.

    Pipes and devices are not opened. folder: where the file must lie, by default the one that
    `path` names; a link may lead out of it only into a cache of Hugging Face. Raises `error`, also
    for a git-lfs pointer.
    """
    path = Path(path)
    try:
        # A pipe would block `open`, and its content could be of any size.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
                raise error(f"{{subject}} is {kind}.", subject=path)
            if not _lies_in(path, path.parent if folder is None else Path(folder)):
                raise error("{subject} is a link that leads out of its folder.",
                            "Copy the file there.", subject=path)
            content = file.read(max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise error("{subject} is missing.", missing_hint, subject=path) from None
    except IsADirectoryError:
        raise error("{subject} is a folder.", subject=path) from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or one_line(problem)
        raise error(f"{{subject}} cannot be read: {reason}.", subject=path) from None
    if len(content) > max_bytes:
        raise error(f"{{subject}} is larger than {max_bytes / (1 << 20):g} MB, as no such file is.",
                    subject=path)
    if is_lfs_pointer(content):
        raise error("{subject} is a git-lfs pointer, not the file.", "Get it with `git lfs pull`.",
                    subject=path)
    return content


def is_lfs_pointer(start: bytes) -> bool:
    """Whether a file that begins with these (at least 50) bytes is a pointer of git-lfs.

    Source: git-lfs, docs/spec.md, with the names of earlier versions.
    """
    return start.removeprefix(UTF8_BOM).startswith((
        b"version https://git-lfs", b"version https://hawser.github.com",
        b"version http://git-media"))


def read_mapping(
    path: str | Path,
    error: type[SparkTTSError] = ModelError,
    missing_hint: str = MISSING_HINT,
    max_bytes: int | None = None,
    folder: str | Path | None = None,
) -> dict[str, Any]:
    """Read a JSON (by its suffix) or YAML file that holds a mapping, with or without a BOM.

    max_bytes: by default MAX_JSON_BYTES or MAX_YAML_BYTES; folder: see `read_file`. Raises `error`
    for a file that is missing, unreadable, too large, not UTF-8, malformed, or no mapping.
    """
    path = Path(path)
    is_json = path.suffix == ".json"
    limit = max_bytes or (MAX_JSON_BYTES if is_json else MAX_YAML_BYTES)
    content = read_file(path, limit, error, missing_hint, folder)
    with reading(path, error):
        text = decode(content)
        values = json.loads(text) if is_json else yaml.load(text, _SettingsLoader)
    if not isinstance(values, dict):
        raise error("{subject} holds no settings.", subject=path)
    return values


def decode(content: bytes) -> str:
    """UTF-8 text, with or without a BOM. Raises UnicodeDecodeError."""
    return content.removeprefix(UTF8_BOM).decode("utf-8")


@contextlib.contextmanager
def reading(path: Path, error: type[SparkTTSError] = ModelError) -> Iterator[None]:
    """Raises `error` for what the block finds wrong in the content of the file."""
    try:
        yield
    except UnicodeDecodeError:
        raise error("{subject} is not UTF-8 text.", subject=path) from None
    except RecursionError:
        raise error("{subject} cannot be read: it is nested too deeply.", subject=path) from None
    except Exception as problem:    # PyYAML raises whatever its conversions do
        reason = one_line(problem) or type(problem).__name__
        raise error(f"{{subject}} cannot be read: {reason}", subject=path) from None


class _SettingsLoader(yaml.SafeLoader):
    """PyYAML's safe loader without what takes time or memory out of proportion: merge keys (<<),
    of which a few lines can fill any memory, and deep nesting."""

    def fetch_flow_collection_start(self, token: Any) -> None:
        self._check_depth()
        super().fetch_flow_collection_start(token)

    def add_indent(self, column: int) -> bool:
        self._check_depth()
        return super().add_indent(column)

    def _check_depth(self) -> None:
        if self.flow_level + len(self.indents) > MAX_YAML_DEPTH:
            raise RecursionError

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.YAMLError("merge keys (<<) are not supported")
        super().flatten_mapping(node)


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether a file is in a folder, itself or in the Hugging Face cache that it is linked to.

    There `models--OWNER--NAME/snapshots/COMMIT/FILE` is a link to `models--OWNER--NAME/blobs/ID`.
    """
    real = Path(os.path.realpath(path))
    in_cache = real.parent.name == "blobs" and real.parent.parent.name.startswith("models--")
    return in_cache or real.is_relative_to(os.path.realpath(folder))


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
        try:
            os.replace(temporary, path)
        except OSError:
            path.unlink()
            raise
