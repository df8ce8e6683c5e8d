"""Level and length of a recording, as the voice encoder expects them."""

import numpy as np

TRIM_LEVEL = 0.02       # of the peak; what stays below it before and after the speech is trimmed


def normalize_volume(samples: np.ndarray, target: float = 0.2) -> np.ndarray:
    """Scale samples [N] (float64, finite) so that their loud parts lie at `target`, and the peak at
    1 if it exceeds 1. Samples of which at most ten exceed 0.01 are not scaled to `target`.

    Returns a new array or `samples` itself.
    Source: upstream `sparktts/utils/audio.py`, audio_volume_normalize.
    """
    levels = np.sort(np.abs(samples))
    if not levels.size:
        return samples
    if levels[-1] < 0.1:
        # As upstream, `levels` stays: a quiet recording is raised here and, by its old level, once
        # more below, so that it is limited to 1. Voice tokens of quiet prompts depend on that.
        samples = samples / max(levels[-1], 1e-3) * 0.1
    loud = levels[levels > 0.01]
    if len(loud) <= 10:
        return samples
    level = loud[int(0.9 * len(loud)):int(0.99 * len(loud))].mean()     # high, but without clicks
    samples = samples * np.clip(target / level, 0.1, 10)
    peak = np.abs(samples).max()
    return samples / peak if peak > 1 else samples


def reference_clip(samples: np.ndarray, length: int) -> np.ndarray:
    """The first `length` of samples [N], N >= 1; a shorter recording is repeated, as upstream."""
    if len(samples) < length:
        samples = np.tile(samples, length // len(samples) + 1)
    return samples[:length]


def speech_seconds(samples: np.ndarray, sample_rate: int = 16000) -> float:
    """Duration of samples [N] without the silence before and after."""
    levels = np.abs(samples)
    loud = np.flatnonzero(levels > TRIM_LEVEL * levels.max(initial=0.0))
    return (loud[-1] - loud[0] + 1) / sample_rate if len(loud) else 0.0
