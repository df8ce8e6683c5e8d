"""Speech made faster, slower, or free of long silences; the pitch stays.

Source: waveform similarity overlap-add (WSOLA), Verhelst and Roelands (1993): frames are taken at
another pace, each from where it continues the one before it best.
"""

import numpy as np

MIN_SPEED = 0.3
MAX_SPEED = 2.0
FRAME = 0.040               # seconds, two periods of a low voice
MAX_SHIFT = 0.010           # seconds that a frame may move to fit the one before it
PAUSE_LEVEL = 0.003         # of full scale, -50 dB; samples below it are part of a pause
MAX_PAUSE = 0.5             # seconds; a longer pause is cut to this
MARGIN = 0.1                # seconds of silence kept before and after


def change_speed(samples: np.ndarray, speed: float, sample_rate: int) -> np.ndarray:
    """Samples [N] at `speed` times their pace, float32 [N / speed]. `speed` is clipped to
    [0.3, 2]."""
    speed = float(np.clip(speed, MIN_SPEED, MAX_SPEED))
    hop = int(FRAME * sample_rate) // 2
    reach = int(MAX_SHIFT * sample_rate)
    length = round(len(samples) / speed)
    if speed == 1.0 or length < 2 * hop:
        return np.asarray(samples, np.float32)
    window = np.hanning(2 * hop + 1)[:-1]           # overlapped by half, such windows add up to one
    source = np.pad(samples.astype(np.float64), (hop + reach, 3 * hop + reach))
    num_frames = length // hop + 2
    output = np.zeros((num_frames + 1) * hop)
    begin = reach
    for n in range(num_frames):
        if n:       # centred on sample n * hop * speed, moved to continue the last frame
            following = source[begin + hop:begin + 2 * hop]
            nominal = min(int(n * hop * speed), len(samples)) + reach
            search = source[nominal - reach:nominal + reach + hop]
            begin = nominal - reach + _best_match(search, following)
        output[n * hop:(n + 2) * hop] += window * source[begin:begin + 2 * hop]
    return output[hop:hop + length].astype(np.float32)


def _best_match(samples: np.ndarray, pattern: np.ndarray) -> int:
    """Position in samples [M] of what is most like pattern [N], by normalised correlation."""
    products = np.correlate(samples, pattern, "valid")
    energy = np.cumsum(np.concatenate(([0.0], samples * samples)))
    norms = np.sqrt(energy[len(pattern):] - energy[:-len(pattern)] + 1e-9)
    return int(np.argmax(products / norms))


def remove_silence(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Samples [N] with pauses of at most 0.5 s and margins of at most 0.1 s."""
    loud = np.flatnonzero(np.abs(samples) > PAUSE_LEVEL)
    if not len(loud):
        return samples
    margin = int(MARGIN * sample_rate)
    half = int(MAX_PAUSE * sample_rate / 2)
    pauses = np.flatnonzero(np.diff(loud) > 2 * half)
    begins = [max(0, loud[0] - margin), *(loud[pauses + 1] - half)]
    ends = [*(loud[pauses] + half), min(len(samples), loud[-1] + margin)]
    return np.concatenate([samples[b:e] for b, e in zip(begins, ends, strict=True)])
