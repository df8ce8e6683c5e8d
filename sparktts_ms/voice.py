"""A voice, in memory and in a file, and generated speech."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sparktts_ms.config import BiCodecConfig
from sparktts_ms.errors import InputError, Notice, SparkTTSError, VoiceError
from sparktts_ms.files import atomic_write, read_file

FORMAT = "spark-tts-voice"
VERSION = 1
MAX_FILE_BYTES = 1 << 20
MAX_IDS = 3000                  # of a kind, in a file
MAX_ID = (1 << 20) - 1


@dataclass(frozen=True)
class Voice:
    """What a recording is reduced to.

    global_ids: [32], who speaks. With the recording's `transcript`, semantic_ids [T], 50 a second,
    say how it was spoken, and new speech continues it; without one they are empty.
    notices: what its recording's owner should know of it; not saved.
    """

    global_ids: np.ndarray
    semantic_ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    transcript: str | None = None
    notices: tuple[Notice, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self):
        self.global_ids.setflags(write=False)       # voices are shared between requests
        self.semantic_ids.setflags(write=False)

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write the voice as JSON; returns the path. Raises OutputError if the file exists (unless
        `overwrite`) or cannot be written."""
        with atomic_write(path, overwrite) as file:
            file.write(self.content())
        return Path(path)

    def content(self) -> bytes:
        """Of the file that `save` writes."""
        entry = {"format": FORMAT, "version": VERSION, "global_ids": self.global_ids.tolist(),
                 "semantic_ids": self.semantic_ids.tolist(), "transcript": self.transcript}
        return (json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Voice:
        """Read what `save` wrote. Raises VoiceError for anything else."""
        content = read_file(path, MAX_FILE_BYTES, VoiceError)
        try:
            return cls(*_parse(content))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise VoiceError(f"{{subject}} is no voice of version {VERSION}, or is damaged.",
                             "Voice.save writes one.", subject=path, code="not_a_voice") from None


@dataclass(frozen=True)
class Speech:
    """Generated speech and the ids behind it.

    samples: [N] float32 in (-1, 1): 320 for each semantic id, and pauses between segments.
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


def check_ids(config: BiCodecConfig, global_ids: np.ndarray, semantic_ids: np.ndarray | None,
              error: type[SparkTTSError] = InputError, hint: str = "") -> None:
    """Raise `error` for ids that the codec does not have; semantic_ids None: only global ids."""
    speaker = config.speaker_encoder
    checks = [("global_ids", global_ids, speaker.codebook_size, speaker.token_num)]
    if semantic_ids is not None:
        checks.append(("semantic_ids", semantic_ids, config.quantizer.codebook_size, 0))
    for name, given, size, length in checks:
        ids = np.asarray(given)
        if ids.ndim != 1 or ids.dtype.kind not in "iu" or ids.size != (length or max(ids.size, 1)):
            wanted = length or "at least one"
            raise error(f"{name} must be {wanted} whole numbers; got shape {ids.shape}.", hint)
        if ids.min() < 0 or ids.max() >= size:
            raise error(f"{name} must lie in 0..{size - 1}; got {ids.min()}..{ids.max()}.", hint)


def _parse(content: bytes) -> tuple[np.ndarray, np.ndarray, str | None]:
    """The fields of a Voice. Raises ValueError, KeyError or TypeError for anything else."""
    entry = json.loads(content)
    if entry["format"] != FORMAT or entry["version"] != VERSION:
        raise ValueError
    transcript = entry.get("transcript")
    if transcript is not None and not (isinstance(transcript, str) and transcript.strip()):
        raise ValueError
    if not entry["global_ids"] or (transcript is None) != (not entry["semantic_ids"]):
        raise ValueError
    return _ids(entry["global_ids"]), _ids(entry["semantic_ids"]), transcript


def _ids(ids: Any) -> np.ndarray:
    valid = isinstance(ids, list) and len(ids) <= MAX_IDS
    if not valid or not all(type(n) is int and 0 <= n <= MAX_ID for n in ids):
        raise ValueError
    return np.array(ids, np.int32)
