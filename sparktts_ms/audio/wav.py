"""Speech as 16-bit WAV: a file, the bytes of one, or a stream written while speech is generated."""

import io
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from sparktts_ms.errors import OutputError
from sparktts_ms.files import atomic_write

UNKNOWN_LENGTH = 0xFFFFFFFF     # in the header of a stream, as ffmpeg and sox write it to a pipe


def write_wav(path: str | Path, samples: np.ndarray, sample_rate: int,
              overwrite: bool = False) -> Path:
    """Write samples [N] in [-1, 1] as a mono 16-bit PCM WAV file; what exceeds is clipped.

    Raises OutputError for samples that are not finite, if the file exists (unless `overwrite`), and
    for whatever the file system refuses; then no file is left behind.
    """
    path = Path(path)
    if not np.isfinite(samples).all():
        problem = "{subject} was not written: the samples contain NaN or infinity."
        raise OutputError(problem, "Try float32 or another seed.", subject=path)
    wav = encode_wav(samples, sample_rate)
    with atomic_write(path, overwrite) as stream:
        stream.write(wav)
    return path


def encode_wav(samples: np.ndarray, sample_rate: int) -> bytes:
    """Samples [N] in [-1, 1] as the bytes of a mono 16-bit PCM WAV file; the rest is clipped."""
    wav = io.BytesIO()
    soundfile.write(wav, _quantize(samples), sample_rate, format="WAV", subtype="PCM_16")
    return wav.getvalue()


class WavStream:
    """Writes samples in [-1, 1] to `file` as 16-bit little-endian PCM, flushed after each chunk.

    With `wav`, a WAV header of unknown length comes first.
    """

    def __init__(self, file: BinaryIO, sample_rate: int, wav: bool):
        self.file = file
        if wav:
            file.write(struct.pack("<4sI4s", b"RIFF", UNKNOWN_LENGTH, b"WAVE"))
            mono = (1, 1, sample_rate, 2 * sample_rate, 2, 16)      # PCM, channels, ..., bits
            file.write(struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, *mono, b"data", UNKNOWN_LENGTH))
            file.flush()

    def write(self, samples: np.ndarray) -> None:
        self.file.write(_quantize(samples).tobytes())
        self.file.flush()


def _quantize(samples: np.ndarray) -> np.ndarray:
    # Rounded here: soundfile, which upstream leaves it to, rounds down, half a step of offset.
    steps = np.rint(np.asarray(samples, np.float64) * 32768)
    return np.clip(steps, -32768, 32767).astype("<i2")
