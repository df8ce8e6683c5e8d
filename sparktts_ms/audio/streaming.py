"""Speech written while it is being made: 16-bit samples, bare or behind a WAV header."""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np

UNKNOWN = 0xFFFFFFFF        # the length in a WAV header that nobody knows yet, as ffmpeg and sox write it to a pipe


class SampleWriter:
    """Writes float32 samples in [-1, 1] to `file` as 16-bit little-endian PCM, and flushes them."""

    def __init__(self, file: BinaryIO, sample_rate: int, wav: bool):
        self.file = file
        if wav:
            file.write(struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", UNKNOWN, b"WAVE", b"fmt ", 16, 1, 1, sample_rate,
                                   2 * sample_rate, 2, 16, b"data", UNKNOWN))
            file.flush()

    def write(self, samples: np.ndarray) -> None:
        self.file.write(np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2").tobytes())
        self.file.flush()
