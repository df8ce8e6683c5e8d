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
    stretch = TimeStretch(float(np.clip(speed, MIN_SPEED, MAX_SPEED)), sample_rate)
    return np.concatenate([stretch.process(samples), stretch.finish()])


class TimeStretch:
    """Speech at `speed` times its pace, piece by piece, with unchanged pitch.

    The pieces put together are the same samples however the input is cut, float32
    [round(N / speed)] in all. Held back are at most 30 ms of the input and a step of `speed` times
    20 ms. At speed 1 samples pass unchanged.
    """

    def __init__(self, speed: float, sample_rate: int):
        self.speed = speed
        self._hop = int(FRAME * sample_rate) // 2
        self._reach = int(MAX_SHIFT * sample_rate)
        self._window = np.hanning(2 * self._hop + 1)[:-1]   # overlapped by half, they add up to one
        self._source = np.zeros(self._hop + self._reach)    # silence, then what is still needed
        self._origin = 0                        # position of its first sample
        self._num_frames = 0
        self._following = np.zeros(self._hop)   # what would continue the last frame
        self._tail = np.zeros(self._hop)        # the last frame's second half, windowed
        self._received = 0

    def process(self, samples: np.ndarray) -> np.ndarray:
        """Take samples [N] and return those that are ready, [M]."""
        if self.speed == 1.0:
            return np.asarray(samples, np.float32)
        self._received += len(samples)
        self._source = np.concatenate([self._source, np.asarray(samples, np.float64)])
        pieces = [np.zeros(0)]
        while self._position() + self._hop + self._reach <= self._received:
            pieces.append(self._next_frame())
        return np.concatenate(pieces).astype(np.float32)

    def finish(self) -> np.ndarray:
        """The last samples, [M]."""
        if self.speed == 1.0:
            return np.zeros(0, np.float32)
        self._source = np.pad(self._source, (0, 3 * self._hop + self._reach))
        length = round(self._received / self.speed)
        missing = length - max(0, self._num_frames - 1) * self._hop
        pieces = [np.zeros(0)]
        while self._num_frames < length // self._hop + 2:
            pieces.append(self._next_frame())
        return np.concatenate(pieces)[:missing].astype(np.float32)

    def _position(self) -> int:
        # Of the next frame's centre in the input, before it is moved.
        return min(int(self._num_frames * self._hop * self.speed), self._received)

    def _next_frame(self) -> np.ndarray:
        # Overlapped with the last one: [hop]; nothing for the first, which follows silence.
        position = self._position()
        self._source = self._source[position - self._origin:]
        self._origin = position
        begin = self._reach
        if self._num_frames:        # moved to continue the last frame
            search = self._source[:2 * self._reach + self._hop]
            begin = _best_match(search, self._following)
        frame = self._source[begin:begin + 2 * self._hop]
        self._following = frame[self._hop:]
        weighted = self._window * frame
        ready = self._tail + weighted[:self._hop]
        self._tail = weighted[self._hop:]
        self._num_frames += 1
        return ready if self._num_frames > 1 else ready[:0]


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
