"""Recordings in, wav files out. Every recording is read as hostile; every file is written whole or not at all."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from sparktts_ms.errors import AudioError

SILENCE = 1e-4              # a swing below this is no recording (-80 dBFS)
BEYOND_SOUND = 1e12         # float files may exceed 1, even hold plain integers; past this they hold no sound
LEAST_SAMPLES = 400         # what one frame of wav2vec 2.0 needs: 25 ms at 16 kHz
RATES = (1000, 768_000)     # Hz; no microphone is outside
BLOCK = 1 << 22             # values held at once while reading (32 MiB); 30 s of ordinary stereo fit into one block


@dataclass(frozen=True)
class Recording:
    """Mono samples [N], float64, level untouched. The file lasts `source_seconds`; `truncated` if not all was read."""

    samples: np.ndarray
    source_seconds: float
    truncated: bool


def read_recording(path: str | Path, sample_rate: int = 16000, max_seconds: float = 30.0) -> Recording:
    """Read the first `max_seconds` of a recording as mono at `sample_rate` Hz (soxr VHQ in one piece, float64).

    The first channel counts, as upstream (`sparktts/utils/audio.py`, load_audio); only where that is silent, the
    loudest. Memory follows `max_seconds`, whatever the header claims. Raises AudioError for what is no usable
    recording: missing, a folder, unreadable, not audio, empty, silent, not finite, or shorter than 25 ms.
    """
    path = Path(path)
    with _open_recording(path) as file:
        rate = file.samplerate
        if not RATES[0] <= rate <= RATES[1]:
            raise AudioError(f"{path} claims a sample rate of {rate} Hz; export it again at {sample_rate} Hz.")
        most = int(max_seconds * rate)
        samples = _read_voice(file, most)
        truncated = len(samples) == most and file.frames > most
        source_seconds = (file.frames if truncated else len(samples)) / rate
    _check_samples(path, samples, rate, int(len(samples) * sample_rate / rate + 0.5))
    if rate != sample_rate:
        samples = soxr.resample(samples, rate, sample_rate, quality="VHQ")
    return Recording(samples, source_seconds, truncated)


@contextlib.contextmanager
def _open_recording(path: Path) -> Iterator[soundfile.SoundFile]:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise AudioError(f"{path} is a folder; give the recording itself, such as {path / 'prompt.wav'}.")
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(f"{path} is no ordinary file; save the recording to a file first.")
        if not status.st_size:
            raise AudioError(f"{path} is empty (0 bytes); record or copy it again.")
        # By number, so that the content alone decides: soundfile treats the name x.raw otherwise than x.wav.
        with path.open("rb", buffering=0) as stream, soundfile.SoundFile(stream.fileno(), closefd=False) as file:
            yield file
    except (FileNotFoundError, NotADirectoryError):
        raise AudioError(f"The recording {path} does not exist; check the path.") from None
    except OSError as problem:
        reason = problem.strerror or problem
        raise AudioError(f"{path} cannot be read: {reason}. Check its permissions and its disk.") from None
    except (soundfile.SoundFileError, ValueError) as problem:
        raise AudioError(f"{path} is damaged or no audio (wav, flac, ogg, mp3); convert it to wav.") from problem


def _read_voice(file: soundfile.SoundFile, most: int) -> np.ndarray:
    """Up to `most` samples of the channel that counts."""
    samples, swings = _read_channel(file, most, 0)
    if len(samples) and swings[0] < SILENCE <= np.nanmax(swings):
        file.seek(0)
        samples, _ = _read_channel(file, most, int(np.nanargmax(swings)))
    return samples


def _read_channel(file: soundfile.SoundFile, most: int, channel: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples [N] of one channel, N at most `most`, and for every channel how far it swings about its middle."""
    pieces = [np.zeros(0)]
    low, high = np.full(file.channels, np.inf), np.full(file.channels, -np.inf)
    while left := most - sum(map(len, pieces)):
        block = file.read(min(left, BLOCK // file.channels), dtype="float64", always_2d=True)
        if not len(block):
            break
        pieces.append(block[:, channel].copy())
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
    with np.errstate(invalid="ignore"):
        return np.concatenate(pieces), (high - low) / 2


def _check_samples(path: Path, samples: np.ndarray, rate: int, resampled: int) -> None:
    seconds = len(samples) / rate
    if not len(samples):
        raise AudioError(f"{path} is empty: it holds no samples. Record or copy it again.")
    if not np.abs(samples).max() < BEYOND_SOUND:        # so put, NaN is caught as well
        raise AudioError(f"{path} contains NaN, infinity or numbers far beyond any sound; export it again.")
    if resampled < LEAST_SAMPLES:
        raise AudioError(f"{path} lasts {1000 * seconds:.1f} ms; at least 25 ms are needed, and 3 to 10 s make a good "
                         "voice.")
    if np.ptp(samples) / 2 < SILENCE:
        raise AudioError(f"{path} is silent in the {seconds:.1f} s that were read; record it again, or cut it so that "
                         "the voice begins at once.")
