"""The level and the length at which the voice encoder hears a recording. Source: SPEC 3."""

from __future__ import annotations

import numpy as np

SILENT = 0.02           # of the peak, below which a recording's ends do not count


def normalize_volume(x: np.ndarray, target: float = 0.2) -> np.ndarray:
    """Scale samples [N] (float64, finite) so that their loud parts lie at `target`; what would exceed 1 is scaled to 1.

    Samples of which at most ten exceed 0.01 are not judged. The result may be `x` itself.
    Upstream: `sparktts/utils/audio.py`, audio_volume_normalize; SPEC 3, step 4.
    """
    levels = np.sort(np.abs(x))
    if not levels.size:
        return x
    if levels[-1] < 0.1:
        # `levels` stays as it was, as upstream leaves it: a quiet recording is raised here and, by its old level, once
        # more below. It ends too loud and is limited to 1; the voice tokens of quiet prompts depend on that.
        x = x / max(levels[-1], 1e-3) * 0.1
    loud = levels[levels > 0.01]
    if len(loud) <= 10:
        return x
    level = loud[int(0.9 * len(loud)):int(0.99 * len(loud))].mean()     # near the top, without the clicks
    x = x * np.clip(target / level, 0.1, 10)
    peak = np.abs(x).max()
    return x / peak if peak > 1 else x


def reference_clip(x: np.ndarray, samples: int) -> np.ndarray:
    """The first `samples` of x [N], N >= 1; a shorter recording is repeated end to end, seams included (SPEC 3)."""
    if len(x) < samples:
        x = np.tile(x, samples // len(x) + 1)
    return x[:samples]


def speech_seconds(samples: np.ndarray, sample_rate: int = 16000) -> float:
    """How long samples [N] last without the silence before and after."""
    level = np.abs(samples)
    loud = np.flatnonzero(level > SILENT * level.max(initial=0.0))
    return (loud[-1] - loud[0] + 1) / sample_rate if len(loud) else 0.0
