"""The output folder: audio files in subfolders, the manifest, and the settings it was made with.

    manifest.jsonl          an entry for each line that is done or has failed
    settings.json           what all runs in the folder must agree on
    00000/ID.wav, ...       the audio of the input's first 1,000 lines; 00001/, ... of the next
    .lock, .line-index, .partial/       of the run

A file is written under another name, renamed, and only then has an entry: after a kill at any time
a line has a whole file and an entry, or is done again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sparktts_ms.batch.line import Line
from sparktts_ms.batch.line_index import LineIndex
from sparktts_ms.batch.manifest import NAME as MANIFEST
from sparktts_ms.batch.manifest import Manifest, read_entries
from sparktts_ms.batch.work import SpokenLine
from sparktts_ms.errors import InputError, OutputError, SparkTTSError, quoted
from sparktts_ms.files import atomic_write, read_mapping
from sparktts_ms.storage.output_lock import lock_output

SETTINGS = "settings.json"
PARTIAL = ".partial"
FILES_IN_FOLDER = 1000
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
HINT = "Free disk space or choose another folder; the same run goes on where it stopped."


class Output:
    """Of one run; made by `open_output`. index: of the lines that have entries."""

    def __init__(self, folder: Path, audio_format: str, manifest: Manifest, index: LineIndex):
        self.folder = folder
        self.index = index
        self._format = audio_format
        self._manifest = manifest
        self._made: Path | None = None          # the subfolder that was made last

    def write(self, line: Line, spoken: SpokenLine) -> None:
        """Write a line's file, then its entry. Raises OutputError; then there is neither."""
        file = f"{(line.number - 1) // FILES_IN_FOLDER:05}/{file_name(line.id)}.{self._format}"
        self._write_file(self.folder / file, spoken.content)
        self._manifest.append({
            "id": line.id, "line": line.number, "file": file,
            "duration": round(spoken.seconds, 4), "seed": line.sampling.seed, "text": line.text,
            **(line.fields or {}), "complete": spoken.complete,
            "global_ids": spoken.global_ids.tolist(), "semantic_ids": spoken.semantic_ids.tolist(),
            "digest": line.digest})

    def fail(self, line: Line, error: SparkTTSError) -> None:
        """Write the entry of a line that failed. Raises OutputError."""
        self._manifest.append({
            "id": line.id, "line": line.number, "text": line.text or None, **(line.fields or {}),
            "error": {"code": error.code or "invalid_line", "message": error.message()},
            "digest": line.digest})

    def _write_file(self, path: Path, content: bytes) -> None:
        partial = self.folder / PARTIAL / "file"
        try:
            if path.parent != self._made:
                path.parent.mkdir(exist_ok=True)
                self._made = path.parent
            partial.write_bytes(content)
            os.replace(partial, path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise OutputError(f"{{subject}} cannot be written: {error.strerror or error}.", HINT,
                              subject=path) from None


def file_name(line_id: str) -> str:
    """A line's file without its suffix: the id, or where that is no plain name, what is left of it
    and a digest, after a ~ that no plain name has."""
    if PLAIN_NAME.fullmatch(line_id):
        return line_id
    digest = hashlib.sha256(line_id.encode()).hexdigest()[:16]
    return f"{re.sub('[^A-Za-z0-9_-]+', '_', line_id)[:60]}~{digest}"


@contextmanager
def open_output(folder: Path, audio_format: str, settings: Mapping[str, Any]) -> Iterator[Output]:
    """Make the folder or go on with it; no other process can write there meanwhile.

    settings: what the lines depend on besides themselves, as JSON has it. Raises InputError if the
    folder was made with others ("other_settings"), or is in use ("output_in_use"); OutputError.
    """
    with lock_output(folder):
        _check_settings(folder, {**settings, "format": audio_format})
        _clean(folder)
        manifest = Manifest(folder)
        try:
            index = LineIndex(folder)
            try:
                for entry in read_entries(folder):
                    index.add(entry["id"], str(entry.get("digest")), "error" in entry)
                yield Output(folder, audio_format, manifest, index)
            finally:
                index.close()
                with suppress(OSError):
                    shutil.rmtree(folder / PARTIAL)
        finally:
            manifest.close()


def _check_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    path = folder / SETTINGS
    current = json.loads(json.dumps(settings))
    if not path.exists():
        if (folder / MANIFEST).exists():
            raise InputError("{subject} has a manifest, but no settings.json: no such run made it.",
                             "Choose another folder.", subject=folder, code="other_settings")
        _write_settings(path, current)
        return
    before = read_mapping(path, InputError)
    if current.get("model") is None:            # its folder is on other machines only
        current["model"] = before.get("model")
    elif before.get("model") is None:
        before["model"] = current["model"]
        _write_settings(path, before)
    for name in {**before, **current}:
        old = before.get(name)
        new = current.get(name)
        if old != new:
            raise InputError(f"{{subject}} was begun with {name} {quoted(old)}, not {quoted(new)}.",
                             "Repeat its settings (settings.json has them), or choose another "
                             "folder.", subject=folder, code="other_settings")


def _write_settings(path: Path, settings: Mapping[str, Any]) -> None:
    with atomic_write(path, overwrite=True) as file:
        file.write((json.dumps(settings, indent=1, ensure_ascii=False) + "\n").encode())


def _clean(folder: Path) -> None:
    """Remove what a kill left half-written."""
    partial = folder / PARTIAL
    try:
        if partial.is_dir() and not partial.is_symlink():
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)         # nothing that a run has left
        partial.mkdir()
    except OSError as error:
        raise OutputError(f"{{subject}} cannot be written: {error.strerror or error}.", HINT,
                          subject=partial) from None
