"""The level at which Spark-TTS hears a recording. Source: SPEC 3.4, upstream `sparktts/utils/audio.py`."""

from __future__ import annotations

import numpy as np


def normalize_volume(samples: np.ndarray, target: float = 0.2) -> np.ndarray:
    """Scale samples [N] (float64) so that their loud parts lie at `target`; the result never exceeds 1.

    A recording that peaks below 0.1 is first lifted to 0.1, but the levels that decide the second gain are those from
    before: upstream does not refresh them, so a quiet recording ends louder than a loud one, and the model knows it so.
    """
    levels = np.sort(np.abs(samples))
    if not levels.size:
        return samples
    if levels[-1] < 0.1:
        samples = samples / max(levels[-1], 1e-3) * 0.1
    loud = levels[levels > 0.01]
    if len(loud) <= 10:
        return samples
    level = loud[int(0.9 * len(loud)):int(0.99 * len(loud))].mean()
    samples = samples * np.clip(target / level, 0.1, 10.0)
    peak = np.abs(samples).max()
    return samples / peak if peak > 1 else samples


def reference_clip(samples: np.ndarray, length: int) -> np.ndarray:
    """The first `length` samples; a shorter recording is repeated end to end."""
    if len(samples) < length:
        samples = np.tile(samples, length // len(samples) + 1)
    return samples[:length]
