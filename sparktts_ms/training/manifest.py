"""Manifests: lists of recordings and their transcripts, in the forms that others write them.

- JSON Lines, or an array in JSON: objects with the keys below, as NeMo and WeNet write them;
- a table with a header: CSV, or separated by tabs (Common Voice), `|` or `;`;
- LJSpeech's metadata.csv: id|text|normalized text, recordings in `wavs`;
- lists without a header: path|text, path|speaker|text, path|speaker|language|text, or path, text
  and speaker separated by tabs.

Paths are relative to the manifest. Lines end at line feeds only; other separators of Unicode are
text. Keys besides these are ignored.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import os
import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sparktts_ms.errors import InputError, quoted
from sparktts_ms.files import read_file
from sparktts_ms.generation.attributes import GENDERS

logger = logging.getLogger("sparktts_ms")

MAX_BYTES = 256 << 20       # of a manifest
MAX_NAMED = 10              # lines that are named one by one
MAX_SECONDS = 7 * 24 * 3600.0

# Names of the same thing in other manifests, the first found counts.
AUDIO_KEYS = ("audio", "audio_filepath", "audio_path", "audio_file", "wav", "wav_path", "path",
              "file_name", "filename", "filepath", "file_path", "file")
TEXT_KEYS = ("text", "txt", "sentence", "transcript", "transcription", "normalized_text")
SPEAKER_KEYS = ("speaker", "speaker_id", "spk", "spk_id", "speaker_name", "client_id")
GENDER_KEYS = ("gender", "sex")
KEYS = {*AUDIO_KEYS, *TEXT_KEYS, *SPEAKER_KEYS, *GENDER_KEYS, "offset", "duration"}

# Values of gender, also Common Voice's; those of the second line state none of GENDERS.
GENDER_NAMES = {
    "female": "female", "f": "female", "female_feminine": "female", "woman": "female",
    "male": "male", "m": "male", "male_masculine": "male", "man": "male"}
NO_GENDER = ("", "other", "unknown", "none", "nan", "do_not_wish_to_say", "transgender",
             "non-binary", "intersex", "neutral")
AUDIO_SUFFIX = re.compile(r"\.(wav|flac|mp3|ogg|opus|m4a|aac|wma|aiff?|webm|mp4|pcm|sph)$", re.I)
AUDIO_FOLDERS = ("", "wavs", "clips", "wav")    # beside a manifest; Common Voice: clips
SPEAKER_NAME = re.compile(r"[\w.-]{1,40}", re.ASCII)
LANGUAGE = re.compile(r"(zh|en|ja|jp|ko|yue|all_\w+|auto)(-\w+)?", re.I)


@dataclass(frozen=True)
class ManifestEntry:
    """One recording. offset, duration: the part of the file in seconds; None: to its end.

    line: where it stands in the manifest, from 1.
    """

    audio: Path
    text: str
    speaker: str | None = None
    gender: str | None = None
    offset: float = 0.0
    duration: float | None = None
    line: int = field(default=0, compare=False)


def read_manifest(path: Path) -> list[ManifestEntry]:
    """All entries of the file at `path`; a line that repeats another is left out with a warning.

    Raises InputError, naming the line that is malformed.
    """
    try:
        content = read_file(path, MAX_BYTES, InputError, folder=os.sep)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("{subject} is not UTF-8 text.", "Save it as UTF-8.",
                         subject=path) from None
    except InputError as error:
        problem = error.problem.replace("{subject}", "The manifest {subject}", 1)
        raise InputError(problem, error.hint, subject=path) from None
    entries = []
    number = 1
    try:
        for number, values in _rows(text):
            entries.append(replace(_entry(values, path.parent), line=number))
    except _MalformedLine as problem:
        raise InputError(f"{{subject}} line {problem.line}: {problem}", subject=path) from None
    except ValueError as problem:
        raise InputError(f"{{subject}} line {number}: {problem}", subject=path) from None
    if not entries:
        raise InputError("The manifest {subject} is empty.", subject=path)
    return _without_repetitions(entries, path)


def existing_entries(entries: Sequence[ManifestEntry], path: Path) -> list[ManifestEntry]:
    """The entries whose audio files exist; the others are named with their lines.

    path: the manifest. Raises InputError if none exists.
    """
    missing = [entry for entry in entries if not _is_file(entry.audio)]
    if len(missing) == len(entries):
        first = missing[0]
        others = f", nor any of the other {len(entries) - 1}" if len(entries) > 1 else ""
        hint = "Write paths relative to the manifest, or absolute ones."
        if "\\" in str(first.audio):
            hint = "Write paths with / instead of backslashes, relative to the manifest."
        raise InputError(f"{{subject}} line {first.line}: there is no file "
                         f"{_quoted_path(first, path)}{others}.", hint, subject=path)
    for entry in missing[:MAX_NAMED]:
        logger.warning("%s line %d: there is no file %s. It is left out.", path, entry.line,
                       _quoted_path(entry, path))
    if len(missing) > MAX_NAMED:
        logger.warning("%s: %d more files are missing and left out.", path,
                       len(missing) - MAX_NAMED)
    return [entry for entry in entries if _is_file(entry.audio)]


def _quoted_path(entry: ManifestEntry, path: Path) -> str:
    """An entry's file as the manifest at `path` names it: relative to its folder if it is there."""
    audio = entry.audio
    if audio.is_relative_to(path.parent):
        audio = audio.relative_to(path.parent)
    return quoted(str(audio))


class _MalformedLine(ValueError):
    """A line that cannot be read."""

    def __init__(self, line: int, problem: str):
        super().__init__(problem)
        self.line = line


def _rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number of the line (of the entry, in an array) and values by key, of each entry."""
    lines = text.split("\n")
    first = next((line.strip() for line in lines if line.strip()), "")
    if first.startswith("["):
        yield from _array(text)
    elif first.startswith("{"):
        yield from _json_lines(lines)
    else:
        yield from _table(text, lines)


def _json_lines(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, _object(_parse(line, number), number)


def _array(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    values = _parse(text, 1)
    if not isinstance(values, list):
        raise _MalformedLine(1, "no JSON object or array.")
    for number, value in enumerate(values, 1):
        yield number, _object(value, number)


def _parse(text: str, line: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _MalformedLine(line, 'no JSON object; write {"audio": ..., "text": ...}.') from None


def _object(value: Any, line: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _MalformedLine(line, 'no JSON object; write {"audio": ..., "text": ...}.')
    return value


def _table(text: str, lines: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a table with or without a header."""
    start = next((n for n, line in enumerate(lines) if line.strip()), len(lines))
    if start == len(lines):
        return
    first = lines[start].strip("\r")
    for separator in ("\t", "|", ",", ";"):
        header = [name.strip().strip('"').lower() for name in first.split(separator)]
        if len(set(header) & KEYS) > 1 and set(header) & set(AUDIO_KEYS):
            yield from _with_header(text, lines, start, separator, header)
            return
    for separator in ("|", "\t"):
        if separator in first:
            yield from _without_header(lines, separator)
            return
    if "," in first:
        names = ", ".join(quoted(name) for name in first.split(",")[:8])
        raise _MalformedLine(start + 1, f"the columns {names} are unknown; "
                             f"{' or '.join(AUDIO_KEYS[:4])} and {' or '.join(TEXT_KEYS[:4])} "
                             "are needed.")
    raise _MalformedLine(start + 1, 'no JSON object; write {"audio": ..., "text": ...}.')


def _with_header(text: str, lines: list[str], start: int, separator: str,
                 header: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    if separator in (",", ";"):
        body = "\n".join(lines[start + 1:])
        rows = csv.reader(io.StringIO(body, newline=""), delimiter=separator, strict=True)
        try:
            for row in rows:
                if row:
                    yield start + 1 + rows.line_num, dict(zip(header, row, strict=False))
        except csv.Error as problem:
            raise _MalformedLine(start + 1 + rows.line_num, f"no CSV: {problem}.") from None
        return
    for number, line in enumerate(lines[start + 1:], start + 2):
        if line.strip():
            cells = [_unquoted(cell) for cell in line.strip("\r").split(separator)]
            yield number, dict(zip(header, cells, strict=False))


def _without_header(lines: list[str], separator: str) -> Iterator[tuple[int, dict[str, Any]]]:
    numbered = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            numbered.append((number, line.split(separator)))
    names = _columns([[cell.strip() for cell in cells] for _, cells in numbered], separator)
    if names is None:
        raise _MalformedLine(numbered[0][0], f"{len(numbered[0][1])} columns without a header; "
                             "audio|text or audio|speaker|text is expected.")
    for number, cells in numbered:
        if len(cells) < 2:
            raise _MalformedLine(number, f"one column; {'|'.join(names)} is expected.")
        # A transcript may have the separator in it.
        if len(cells) > len(names) and names[-1] == "text":
            rest = separator.join(cells[len(names) - 1:])
            cells = [*cells[:len(names) - 1], rest]
        values: dict[str, Any] = dict(zip(names, cells, strict=False))
        if values.get("normalized", "").strip():
            values["text"] = values["normalized"]
        yield number, values


def _columns(rows: list[list[str]], separator: str) -> tuple[str, ...] | None:
    """What the columns of a list without a header are, judged by all rows; None if unknown."""
    width = statistics.mode(len(cells) for cells in rows)
    rows = [cells for cells in rows if len(cells) == width]
    if width == 4 and all(LANGUAGE.fullmatch(row[2]) for row in rows):
        return ("audio", "speaker", "language", "text")     # GPT-SoVITS
    if width > 3:
        return None
    if width < 3:
        return ("audio", "text")
    lengths = [sum(len(row[column]) for row in rows) for column in (1, 2)]
    second_names = lengths[0] < lengths[1] and all(SPEAKER_NAME.fullmatch(row[1]) for row in rows)
    if second_names and (separator == "\t" or all(AUDIO_SUFFIX.search(row[0]) for row in rows)):
        return ("audio", "speaker", "text")                 # VITS with several speakers
    return ("audio", "text", "speaker" if separator == "\t" else "normalized")


def _unquoted(cell: str) -> str:
    """A cell of a table separated by tabs, which some programs quote and others do not."""
    inner = cell[1:-1]
    quotes = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quotes else cell


def _entry(values: dict[str, Any], folder: Path) -> ManifestEntry:
    """The entry with these values. Raises ValueError for those that make no sense."""
    audio = _first(values, AUDIO_KEYS)
    if isinstance(audio, dict):         # a row of Hugging Face datasets
        audio = audio.get("path")
    text = _first(values, TEXT_KEYS)
    for name, value, keys in (("audio", audio, AUDIO_KEYS), ("text", text, TEXT_KEYS)):
        if not isinstance(value, str) or not value.strip():
            known = not set(values).isdisjoint(keys)
            found = ", ".join(quoted(key) for key in list(values)[:8]) or "none"
            raise ValueError(f"no {name}." if known else f"no {name}; the keys are {found}, "
                             f"{' or '.join(keys[:5])} is needed.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("text is not valid Unicode.")
    speaker = _first(values, SPEAKER_KEYS)
    if type(speaker) is int:
        speaker = str(speaker)
    if not isinstance(speaker, str | None):
        raise ValueError("speaker must be a string.")
    speaker = (speaker or "").strip() or None
    offset = _seconds(values, "offset")
    duration = _seconds(values, "duration")
    if duration == 0:
        raise ValueError("duration is 0.")
    return ManifestEntry(_resolve(audio.strip(), folder), text.strip(), speaker,
                         _gender(_first(values, GENDER_KEYS)), offset or 0.0, duration)


def _first(values: dict[str, Any], keys: Iterable[str]) -> Any:
    """The value of the first key that has one."""
    found = [values[key] for key in keys if key in values]
    return next((value for value in found if value not in (None, "")), None)


def _gender(value: Any) -> str | None:
    if value is None:
        return None
    name = value.strip().lower() if isinstance(value, str) else ""
    if not isinstance(value, str) or name not in (*GENDER_NAMES, *NO_GENDER):
        raise ValueError(f"gender is {quoted(value)}; it must be one of {', '.join(GENDERS)}.")
    return GENDER_NAMES.get(name)


def _seconds(values: dict[str, Any], key: str) -> float | None:
    """A time in seconds; None if it is not given."""
    value = values.get(key)
    if value in (None, ""):
        return None
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f"{key} is {quoted(value)}; it must be a number of seconds.")
    return seconds


def _resolve(name: str, folder: Path) -> Path:
    """The file that a manifest in `folder` names: as it is, or as in known corpora.

    LJSpeech names files without their suffix; Windows separates folders by backslashes.
    """
    plain = folder / name
    if _is_file(plain):
        return plain
    for variant in dict.fromkeys((name, name.replace("\\", "/"))):
        suffixes = ("",) if AUDIO_SUFFIX.search(variant) else ("", ".wav", ".flac", ".mp3")
        for subfolder in AUDIO_FOLDERS:
            for suffix in suffixes:
                path = folder / subfolder / f"{variant}{suffix}"
                if _is_file(path):
                    return path
    return plain


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):       # a name that is too long, or holds NUL
        return False


def _without_repetitions(entries: list[ManifestEntry], path: Path) -> list[ManifestEntry]:
    """The entries without those that repeat another; one with another text stays, and is named."""
    first: dict[tuple, ManifestEntry] = {}
    kept = []
    repeated = []
    contradicting = []
    for entry in entries:
        key = (os.path.normpath(entry.audio), entry.offset, entry.duration)
        earlier = first.setdefault(key, entry)
        if earlier is not entry and earlier.text == entry.text:
            repeated.append((entry.line, earlier.line))
            continue
        if earlier is not entry:
            contradicting.append(entry)
        kept.append(entry)
    if contradicting:
        logger.warning("%s line %d: %s has another text in an earlier line (%d such lines).", path,
                       contradicting[0].line, _quoted_path(contradicting[0], path),
                       len(contradicting))
    for line, earlier_line in repeated[:MAX_NAMED]:
        logger.warning("%s line %d repeats line %d and is left out.", path, line, earlier_line)
    if len(repeated) > MAX_NAMED:
        logger.warning("%s: %d more repeated lines are left out.", path, len(repeated) - MAX_NAMED)
    return kept
