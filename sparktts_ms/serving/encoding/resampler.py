"""Another sample rate, piece by piece."""

import numpy as np
import soxr


class Resampler:
    """Samples at another rate (soxr HQ, 20 bits); equal rates pass unchanged.

    The pieces put together are the same samples however the input is cut, float32
    [N * output_rate / input_rate, rounded] in all. Some 30 ms are held back.
    """

    def __init__(self, input_rate: int, output_rate: int):
        self._stream = None
        if input_rate != output_rate:
            self._stream = soxr.ResampleStream(input_rate, output_rate, 1, "float32", "HQ")

    def process(self, samples: np.ndarray) -> np.ndarray:
        """Take samples [N] and return those that are ready, [M]."""
        return self._resample(samples, last=False)

    def finish(self) -> np.ndarray:
        """The last samples, [M]."""
        return self._resample(np.zeros(0, np.float32), last=True)

    def _resample(self, samples: np.ndarray, last: bool) -> np.ndarray:
        if self._stream is None:
            return samples
        return self._stream.resample_chunk(np.ascontiguousarray(samples, np.float32), last)
