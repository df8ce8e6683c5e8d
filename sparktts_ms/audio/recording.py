"""Reading recordings. Nothing that a file claims is trusted; every failure is an AudioError."""

import contextlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from sparktts_ms.errors import AudioError

SILENT_AMPLITUDE = 1e-4     # half of peak to peak (-80 dBFS); a channel below it holds no recording
MAX_AMPLITUDE = 1e12        # float files may exceed 1, even hold integers; beyond this is no sound
MIN_SAMPLES = 400           # of one frame of wav2vec 2.0: 25 ms at 16 kHz
MIN_RATE = 1000             # Hz
MAX_RATE = 768_000          # Hz
BLOCK = 1 << 22             # values read at a time (32 MiB); 30 s of common stereo are one block


@dataclass(frozen=True)
class Recording:
    """Mono samples [N], float64, at their original level. The file lasts `source_seconds`; it is
    `truncated` if not all of it was read."""

    samples: np.ndarray
    source_seconds: float
    truncated: bool


def read_recording(path: str | Path, sample_rate: int = 16000,
                   max_seconds: float = 30.0) -> Recording:
    """Read the first `max_seconds` as mono at `sample_rate` Hz (soxr VHQ in one piece, float64).

    The first channel is read, as upstream (`sparktts/utils/audio.py`, load_audio); if it is silent,
    the loudest. Memory follows `max_seconds`, whatever the header claims. Raises AudioError if the
    file is missing, a folder, unreadable, not audio, empty, silent, not finite or under 25 ms.
    """
    path = Path(path)
    with _open_recording(path) as file:
        rate = file.samplerate
        if not MIN_RATE <= rate <= MAX_RATE:
            problem = f"claims a sample rate of {rate} Hz."
            raise _error(path, problem, f"Export it again at {sample_rate} Hz.")
        max_samples = int(max_seconds * rate)
        samples = _read_audible_channel(file, max_samples)
        truncated = len(samples) == max_samples and file.frames > max_samples
        source_seconds = (file.frames if truncated else len(samples)) / rate
    _check_samples(path, samples, rate, int(len(samples) * sample_rate / rate + 0.5))
    if rate != sample_rate:
        samples = soxr.resample(samples, rate, sample_rate, quality="VHQ")
    return Recording(samples, source_seconds, truncated)


def _error(path: Path, problem: str, hint: str, code: str | None = None) -> AudioError:
    return AudioError(f"{{subject}} {problem}", hint, subject=path, code=code)


@contextlib.contextmanager
def _open_recording(path: Path) -> Iterator[soundfile.SoundFile]:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise _error(path, "is a folder.", "Give an audio file.")
        if not stat.S_ISREG(status.st_mode):
            raise _error(path, "is not a regular file.", "Save the recording to a file first.")
        if not status.st_size:
            raise _error(path, "is empty (0 bytes).", "Record or copy it again.")
        # By descriptor, so that the content decides: soundfile reads x.raw otherwise than x.wav.
        with (path.open("rb", buffering=0) as stream,
              soundfile.SoundFile(stream.fileno(), closefd=False) as file):
            yield file
    except (FileNotFoundError, NotADirectoryError):
        raise _error(path, "does not exist.", "Check the path.") from None
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}."
        raise _error(path, problem, "Check its permissions and its disk.") from None
    except (soundfile.SoundFileError, ValueError) as error:
        problem = "is damaged or not audio (wav, flac, ogg, mp3)."
        raise _error(path, problem, "Convert it to wav.", "not_audio") from error


def _read_audible_channel(file: soundfile.SoundFile, max_samples: int) -> np.ndarray:
    """The first channel; if that is silent and another is not, the loudest."""
    samples, amplitudes = _read_channel(file, max_samples, 0)
    if len(samples) and amplitudes[0] < SILENT_AMPLITUDE <= np.nanmax(amplitudes):
        file.seek(0)
        samples, _ = _read_channel(file, max_samples, int(np.nanargmax(amplitudes)))
    return samples


def _read_channel(file: soundfile.SoundFile, max_samples: int,
                  channel: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples [N <= max_samples] of one channel, and half of peak to peak of every channel."""
    blocks = [np.zeros(0)]
    low = np.full(file.channels, np.inf)
    high = np.full(file.channels, -np.inf)
    remaining = max_samples
    while remaining:
        count = min(remaining, BLOCK // file.channels)
        block = file.read(count, dtype="float64", always_2d=True)
        if not len(block):
            break
        remaining -= len(block)
        blocks.append(block[:, channel].copy())
        low = np.minimum(low, block.min(axis=0))
        high = np.maximum(high, block.max(axis=0))
    with np.errstate(invalid="ignore"):
        return np.concatenate(blocks), (high - low) / 2


def _check_samples(path: Path, samples: np.ndarray, rate: int, resampled: int) -> None:
    """Raise AudioError for samples without usable sound; `resampled`: their number at 16 kHz."""
    seconds = len(samples) / rate
    if not len(samples):
        raise _error(path, "is empty: it holds no samples.", "Record or copy it again.")
    if not np.abs(samples).max() < MAX_AMPLITUDE:       # written so that NaN is refused as well
        problem = "contains NaN, infinity or numbers far beyond any sound."
        raise _error(path, problem, "Export it again.")
    if resampled < MIN_SAMPLES:
        problem = f"lasts {1000 * seconds:.1f} ms; at least 25 ms are needed."
        raise _error(path, problem, "Record 3 to 10 s.", "short_recording")
    if np.ptp(samples) / 2 < SILENT_AMPLITUDE:
        problem = f"is silent in the {seconds:.1f} s that were read."
        raise _error(path, problem, "Record it again, or cut its start.", "silent_recording")
