"""What a device is asked for and what it gives, for any process: nothing here needs MindSpore."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from sparktts_ms.batch.line import Recording
from sparktts_ms.errors import SparkTTSError, one_line
from sparktts_ms.generation.attributes import VoiceDescription
from sparktts_ms.generation.request import SpeechRequest
from sparktts_ms.voice import Voice

logger = logging.getLogger("sparktts_ms")

FORMATS = ("wav", "flac")       # of 16-bit samples
MORE_LINES = 8                  # than the engine has slots: one is ready when another ends


@dataclass(frozen=True)
class SpokenLine:
    """content: of the audio file. seconds: of speech. global_ids [32], semantic_ids [T].
    complete: see `Speech`."""

    content: bytes
    seconds: float
    global_ids: np.ndarray
    semantic_ids: np.ndarray
    complete: bool


Work = SpeechRequest | Recording | VoiceDescription
Result = SpokenLine | Voice | SparkTTSError


class Workers(Protocol):
    """One device or many. capacity: requests that should be taken at a time."""

    capacity: int

    def submit(self, key: int, work: Work) -> None:
        """Start a request, or have a voice made."""

    def finished(self) -> list[tuple[int, Result]]:
        """What has been done since the last call; waits for something, but not for ever."""

    def close(self) -> None:
        """Drop what is not done."""


def as_error(error: Exception) -> SparkTTSError:
    """An error for a line's entry; what no user has caused is logged."""
    if isinstance(error, SparkTTSError):
        return error
    logger.error("A line failed.", exc_info=error)
    return SparkTTSError(f"It failed: {type(error).__name__}: {one_line(error)}",
                         code="internal_error")


def fingerprint(model_dir: Path) -> str | None:
    """What tells models apart without reading them: names and sizes of their files. None if the
    folder is not here."""
    files = sorted(path for path in model_dir.rglob("*") if path.is_file())
    if not files:
        return None
    listing = "\n".join(f"{path.relative_to(model_dir)} {path.stat().st_size}" for path in files)
    return hashlib.sha256(listing.encode()).hexdigest()[:16]
