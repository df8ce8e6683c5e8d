"""Finished speech made faster, slower, or tighter, for clients that ask for it. The pitch stays.

Stretching lays frames of the recording over each other at another pace; each is moved a little to where it continues the one
before it best (waveform similarity overlap-add, Verhelst and Roelands 1993).
"""

from __future__ import annotations

import numpy as np

SPEEDS = (0.3, 2.0)
FRAME, SHIFT = 0.040, 0.010     # seconds: of a frame (two periods of a low voice), and how far it may move
QUIET = 0.003                   # of full scale, -50 dB: what stays below it is silence
LONGEST_SILENCE = 0.5           # seconds; a longer one is cut to this
END = 0.1                       # seconds of silence left at both ends


def change_speed(samples: np.ndarray, speed: float, sample_rate: int) -> np.ndarray:
    """Samples [N] spoken `speed` times as fast, float32 [N / speed]; speeds beyond SPEEDS are the nearest one."""
    speed = float(np.clip(speed, *SPEEDS))
    hop, reach = int(FRAME * sample_rate) // 2, int(SHIFT * sample_rate)
    length = round(len(samples) / speed)
    if speed == 1.0 or length < 2 * hop:
        return np.asarray(samples, np.float32)
    window = np.hanning(2 * hop + 1)[:-1]           # overlapped by half, such windows add up to one
    source = np.pad(samples.astype(np.float64), (hop + reach, 3 * hop + reach))
    frames = length // hop + 2
    result = np.zeros((frames + 1) * hop)
    after = source[:0]                              # what follows the last frame in the recording
    for n in range(frames):
        wanted = min(int(n * hop * speed), len(samples)) + reach        # where frame n would begin; its middle is sample n hop
        begin = wanted + _likest(source[wanted - reach:wanted + reach + hop], after) - reach if n else wanted
        result[n * hop:(n + 2) * hop] += window * source[begin:begin + 2 * hop]
        after = source[begin + hop:begin + 2 * hop]
    return result[hop:hop + length].astype(np.float32)


def _likest(stretch: np.ndarray, pattern: np.ndarray) -> int:
    """Where in `stretch` [M] the `pattern` [N] is found best, by normalised correlation."""
    products = np.correlate(stretch, pattern, "valid")
    energy = np.cumsum(np.concatenate(([0.0], stretch * stretch)))
    return int(np.argmax(products / np.sqrt(energy[len(pattern):] - energy[:-len(pattern)] + 1e-9)))


def remove_silence(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Samples [N] without long silences; pauses of natural length stay."""
    loud = np.flatnonzero(np.abs(samples) > QUIET)
    if not len(loud):
        return samples
    end, half = int(END * sample_rate), int(LONGEST_SILENCE * sample_rate / 2)
    gaps = np.flatnonzero(np.diff(loud) > 2 * half)
    begins = [max(0, loud[0] - end), *(loud[gaps + 1] - half)]
    ends = [*(loud[gaps] + half), min(len(samples), loud[-1] + end)]
    return np.concatenate([samples[begin:stop] for begin, stop in zip(begins, ends, strict=True)])
