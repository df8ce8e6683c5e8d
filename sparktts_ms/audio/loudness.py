"""Level and length of a recording, as the voice encoder expects them."""

import numpy as np

TRIM_LEVEL = 0.02       # of the peak; what stays below it before and after the speech is trimmed

TARGET_LEVEL = 0.2          # of the loud parts, to which `normalize_volume` scales
QUIET = 0.05                # of the level of the loud parts; quieter samples do not count to them
USUAL_LEVELS = (0.1, 1.0)   # full scale is 1; recordings at these levels stay as they are
MIN_OFFSET = 0.001          # at a usual level; a smaller one stays
OFFSET_FRAME = 320          # samples, 20 ms: whole periods of hum at 50 Hz
LEVEL_STEPS = 10            # of the iteration for the level
MIN_LEVEL_SECONDS = 1.0     # of a recording that is long enough for its level to mean anything


def usual_level(samples: np.ndarray, sample_rate: int = 16000) -> np.ndarray:
    """Samples [N] (float64, finite) without their offset, at a level that recordings usually have.

    Upstream scales a recording by its level, but measures that with fixed thresholds (0.01 and
    0.1, see `normalize_volume`), so that a quiet recording, or one with an offset, becomes another
    voice. Here the loud parts of a recording outside of USUAL_LEVELS are brought to TARGET_LEVEL,
    and an offset of at least MIN_OFFSET (at that level) is removed, before upstream's rule is
    applied. Recordings at a usual level, and those under 1 s, are returned as they are; that is
    where token ids are equal to upstream's.
    """
    if len(samples) < MIN_LEVEL_SECONDS * sample_rate:
        return samples
    offset = measure_offset(samples)
    level = loud_level(samples - offset)
    if level == 0:
        return samples
    gain = 1.0 if USUAL_LEVELS[0] <= level <= USUAL_LEVELS[1] else TARGET_LEVEL / level
    if abs(offset * gain) >= MIN_OFFSET:
        samples = samples - offset
    return samples * gain if gain != 1 else samples


def loud_level(samples: np.ndarray) -> float:
    """The level of the loud parts of samples [N], as `normalize_volume` measures it, but with a
    threshold relative to it: twice the samples have twice the level."""
    levels = np.sort(np.abs(samples))
    level = float(levels[int(0.99 * len(levels))]) if len(levels) else 0.0
    for _ in range(LEVEL_STEPS):
        loud = levels[np.searchsorted(levels, QUIET * level, side="right"):]
        part = loud[int(0.9 * len(loud)):int(0.99 * len(loud))]
        if not len(part) or part.mean() == level:
            break
        level = float(part.mean())
    return level


def measure_offset(samples: np.ndarray) -> float:
    """The constant that samples [N] are shifted by: the median over their quietest 20 ms frames,
    which speech, itself seldom symmetrical, shifts least."""
    count = len(samples) // OFFSET_FRAME
    if not count:
        return float(samples.mean()) if len(samples) else 0.0
    frames = samples[:count * OFFSET_FRAME].reshape(count, OFFSET_FRAME)
    quiet = np.argsort(frames.std(1), kind="stable")[:max(1, count // 4)]
    return float(np.median(frames.mean(1)[quiet]))


def normalize_volume(samples: np.ndarray, target: float = TARGET_LEVEL) -> np.ndarray:
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
