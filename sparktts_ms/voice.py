"""A voice, in memory and in a file, and generated speech."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sparktts_ms.errors import InputError, SparkTTSError, VoiceError
from sparktts_ms.files import atomic_write

FORMAT = "spark-tts-voice"
VERSION = 1
MAX_FILE_BYTES = 1 << 20
MAX_IDS = {"global_ids": 256, "semantic_ids": 3000}     # in a file
MAX_ID = (1 << 20) - 1


@dataclass(frozen=True)
class Voice:
    """What a recording is reduced to.

    global_ids: [32], who speaks. With the recording's `transcript`, semantic_ids [T], 50 a second,
    say how it was spoken, and new speech continues it; without one they are empty.
    """

    global_ids: np.ndarray
    semantic_ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    transcript: str | None = None

    def __post_init__(self):
        self.global_ids.setflags(write=False)       # voices are shared between requests
        self.semantic_ids.setflags(write=False)

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write the voice as JSON of a few hundred bytes; returns the path.

        Raises OutputError if the file exists (unless `overwrite`) or cannot be written.
        """
        entry = {
            "format": FORMAT, "version": VERSION, "global_ids": self.global_ids.tolist(),
            "semantic_ids": self.semantic_ids.tolist(), "transcript": self.transcript,
        }
        with atomic_write(path, overwrite) as file:
            file.write((json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8"))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Voice:
        """Read what `save` wrote. Raises VoiceError for anything else.

        Whether a model has these ids is checked when it generates with them.
        """
        try:
            with Path(path).open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise VoiceError(f"The voice {{subject}} cannot be read: {error.strerror}.", subject=path) from None
        entry = _parse(content)
        if entry is None:
            raise VoiceError("{subject} is no voice.", "Voice.save writes one.", subject=path, code="not_a_voice")
        if entry["version"] > VERSION:
            raise VoiceError(f"{{subject}} has version {entry['version']}; this program reads {VERSION}.",
                             "Update it.", subject=path, code="newer_voice")
        transcript = entry.get("transcript")
        valid = all(_valid_ids(name, entry.get(name)) for name in MAX_IDS) and entry["global_ids"]
        if transcript is None:
            valid = valid and not entry["semantic_ids"]
        else:
            valid = valid and entry["semantic_ids"] and isinstance(transcript, str) and transcript.strip()
        if not valid:
            raise VoiceError("{subject} is damaged.", "Save the voice again.", subject=path, code="damaged_voice")
        return cls(np.array(entry["global_ids"], np.int32), np.array(entry["semantic_ids"], np.int32), transcript)


@dataclass(frozen=True)
class Speech:
    """Generated speech and the ids behind it.

    samples: [N] float32 in (-1, 1); 320 for each semantic id, and pauses between segments.
    semantic_ids: [T], 50 a second. global_ids: [32]. generated_ids: all ids of the language model.
    complete: False if a segment was cut off, at max_new_tokens or because it fell silent.
    """

    samples: np.ndarray
    sample_rate: int
    semantic_ids: np.ndarray
    global_ids: np.ndarray
    generated_ids: np.ndarray
    complete: bool

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sample_rate

    @property
    def voice(self) -> Voice:
        """The voice of this speech, to generate more with."""
        return Voice(self.global_ids)


def check_ids(name: str, ids: np.ndarray, count: int, length: int | None = None,
              error: type[SparkTTSError] = InputError, hint: str = "") -> None:
    """Raise `error` unless `ids` are whole numbers in 0..count-1, `length` of them or at least one."""
    ids = np.asarray(ids)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or not ids.size or length not in (None, ids.size):
        raise error(f"{name} must be {length or 'at least one'} whole numbers; got shape {ids.shape}.", hint)
    if ids.min() < 0 or ids.max() >= count:
        raise error(f"{name} must lie in 0..{count - 1}; got {ids.min()}..{ids.max()}.", hint)


def _parse(content: bytes) -> dict[str, Any] | None:
    """The entry of a voice file; None if it is not one."""
    try:
        entry = json.loads(content) if len(content) <= MAX_FILE_BYTES else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or entry.get("format") != FORMAT or not isinstance(entry.get("version"), int):
        return None
    return entry


def _valid_ids(name: str, ids: Any) -> bool:
    if not isinstance(ids, list) or len(ids) > MAX_IDS[name]:
        return False
    return all(type(n) is int and 0 <= n <= MAX_ID for n in ids)
