"""Speech as 16-bit WAV: a whole file, the bytes of one, or a stream that is written while speech is generated."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from sparktts_ms.errors import OutputError
from sparktts_ms.files import atomic_write

UNKNOWN = 0xFFFFFFFF        # the length in a WAV header that nobody knows yet, as ffmpeg and sox write it to a pipe


def write_wav(path: str | Path, samples: np.ndarray, sample_rate: int, overwrite: bool = False) -> Path:
    """Write samples [N] in [-1, 1] as a mono 16-bit PCM wav file and return its path; what exceeds is saturated.

    Raises OutputError for samples that are not finite, if the file exists (unless `overwrite`), and for whatever the
    file system refuses; then nothing is left behind.
    """
    path = Path(path)
    if not np.isfinite(samples).all():
        raise OutputError(f"{path} was not written: the samples contain NaN or infinity. Try float32 or another seed.")
    wav = encode_wav(samples, sample_rate)
    with atomic_write(path, overwrite) as stream:
        stream.write(wav)
    return path


def encode_wav(samples: np.ndarray, sample_rate: int) -> bytes:
    """Samples [N] in [-1, 1] as a mono 16-bit PCM wav file; what exceeds is saturated."""
    # Rounded here: soundfile, which upstream leaves it to, rounds down (libsndfile 1.2.2), half a step of offset.
    steps = np.clip(np.rint(np.asarray(samples, np.float64) * 32768), -32768, 32767).astype(np.int16)
    wav = io.BytesIO()
    soundfile.write(wav, steps, sample_rate, format="WAV", subtype="PCM_16")
    return wav.getvalue()


class WavStream:
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
