"""What an engine says of itself, and what it sends while it speaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparktts_ms.config import BiCodecConfig


@dataclass(frozen=True)
class EngineInfo:
    """sample_rate: in Hz. num_slots: sequences that share a decode step of one engine."""

    sample_rate: int
    num_slots: int
    codec_config: BiCodecConfig
    languages: tuple[str, ...]


@dataclass(frozen=True)
class Progress:
    """Of a request: first without samples when the engine has taken it, then with its chunks.

    samples: [N] float32 in [-1, 1], or None. started: whether it has a slot. usage: tokens so far,
    of its prompts and generated.
    """

    samples: np.ndarray | None
    started: bool
    usage: tuple[int, int]
