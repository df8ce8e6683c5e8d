"""A voice kept for later: what a prompt recording comes down to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


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


@dataclass(frozen=True)
class Speech:
    """What was said: `samples` [320 T] float32 in (-1, 1), the ids behind them, and whether the model came to an end by
    itself (`complete`) or was cut off at max_new_tokens."""

    samples: np.ndarray
    sample_rate: int
    semantic_ids: np.ndarray
    global_ids: np.ndarray
    generated_ids: np.ndarray
    complete: bool

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sample_rate
