"""Speech as 16-bit WAV: a file, the bytes of one, or a stream written while speech is generated."""

import io
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from sparktts_ms.errors import OutputError
from sparktts_ms.files import atomic_write

MAX_BYTES = 0xFFFFFFFF          # in the header of a stream, as ffmpeg and sox write it to a pipe


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
    soundfile.write(wav, quantize(samples), sample_rate, format="WAV", subtype="PCM_16")
    return wav.getvalue()


def wav_header(sample_rate: int, num_samples: int | None = None) -> bytes:
    """The 44 bytes before the samples of a mono 16-bit PCM WAV; None: of a stream of any length."""
    num_bytes = MAX_BYTES if num_samples is None else min(2 * num_samples, MAX_BYTES - 36)
    riff_bytes = min(num_bytes + 36, MAX_BYTES)             # what follows this number
    mono = (1, 1, sample_rate, 2 * sample_rate, 2, 16)      # PCM, channels, ..., bits
    return (struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
            + struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, *mono, b"data", num_bytes))


class WavStream:
    """Writes samples in [-1, 1] to `file` as 16-bit little-endian PCM, flushed after each chunk.

    With `wav`, a WAV header of unknown length comes first.
    """

    def __init__(self, file: BinaryIO, sample_rate: int, wav: bool):
        self.file = file
        if wav:
            file.write(wav_header(sample_rate))
            file.flush()

    def write(self, samples: np.ndarray) -> None:
        self.file.write(quantize(samples).tobytes())
        self.file.flush()


def quantize(samples: np.ndarray) -> np.ndarray:
    """Samples [N] in [-1, 1] as little-endian 16-bit integers [N]; the rest is clipped."""
    # Rounded here: soundfile, which upstream leaves it to, rounds down, half a step of offset.
    steps = np.rint(np.asarray(samples, np.float64) * 32768)
    return np.clip(steps, -32768, 32767).astype("<i2")
