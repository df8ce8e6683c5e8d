"""A voice kept for later, in memory and in a file: what a prompt recording comes down to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sparktts_ms.errors import VoiceError
from sparktts_ms.files import atomic_write

FORMAT, VERSION = "spark-tts-voice", 1
LARGEST = 1 << 20           # bytes of a voice file
MOST_IDS = {"global_ids": 256, "semantic_ids": 3000}
LARGEST_ID = 1 << 20


@dataclass(frozen=True)
class Voice:
    """`global_ids` [32] say who speaks. With a `transcript` of the recording, `semantic_ids` [T] (50 a second) say how it
    was spoken, and new speech continues it; without one they are not needed and left empty."""

    global_ids: np.ndarray
    semantic_ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    transcript: str | None = None

    def __post_init__(self):
        for ids in (self.global_ids, self.semantic_ids):
            ids.setflags(write=False)       # a voice is shared by all who speak with it

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write the voice as JSON of a few hundred bytes and return its path. Raises OutputError if the file exists (unless
        `overwrite`) or cannot be written."""
        entry = {"format": FORMAT, "version": VERSION, "global_ids": self.global_ids.tolist(),
                 "semantic_ids": self.semantic_ids.tolist(), "transcript": self.transcript}
        with atomic_write(path, overwrite) as file:
            file.write((json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8"))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Voice:
        """Read what `save` wrote. Raises VoiceError for anything else; whether the ids are a model's own is checked when that
        model speaks."""
        path = Path(path)
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST + 1)
        except OSError as problem:
            raise VoiceError(f"The voice {path} cannot be read: {problem.strerror}.") from None
        try:
            if len(content) > LARGEST:
                raise ValueError
            entry = json.loads(content)
            if entry["format"] != FORMAT or not isinstance(entry["version"], int):
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise VoiceError(f"{path} is no voice; --save_voice makes one.") from None
        if entry["version"] > VERSION:
            raise VoiceError(f"{path} has version {entry['version']}, and this program knows {VERSION}; bring it up to date.")
        transcript = entry.get("transcript")
        ids = {name: entry.get(name) for name in MOST_IDS}
        whole = all(isinstance(found, list) and len(found) <= MOST_IDS[name]
                    and all(type(n) is int and 0 <= n < LARGEST_ID for n in found) for name, found in ids.items())
        said = transcript is None or (isinstance(transcript, str) and bool(transcript.strip()))
        if not whole or not said or not ids["global_ids"] or (transcript is None) != (not ids["semantic_ids"]):
            raise VoiceError(f"{path} is damaged; save the voice again.")
        return cls(np.array(ids["global_ids"], np.int32), np.array(ids["semantic_ids"], np.int32), transcript)


@dataclass(frozen=True)
class Speech:
    """What was said: `samples` [320 T] float32 in (-1, 1), the ids behind them, and whether the model came to an end by
    itself (`complete`) or was cut off, at max_new_tokens or because it fell silent. Between the parts of a long text lie
    pauses, which have samples but no ids."""

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
        """Who spoke, to speak again."""
        return Voice(self.global_ids)
