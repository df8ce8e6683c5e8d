"""Recordings in, wav files out. Every file is parsed as hostile and written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from sparktts_ms.errors import AudioError, OutputError

SILENCE = 1e-4          # a peak below this is no recording (-80 dBFS)
LEAST_SAMPLES = 400     # what one frame of wav2vec 2.0 needs: 25 ms at 16 kHz
RATES = (1000, 768_000)
MOST_CHANNELS = 64


@dataclass(frozen=True)
class Recording:
    """Mono samples [N] (float64, level untouched) and how long the file is; `truncated` if not all of it was read."""

    samples: np.ndarray
    source_seconds: float
    truncated: bool


def read_prompt(path: str | Path, sample_rate: int = 16000, max_seconds: float = 30.0) -> Recording:
    """Read at most `max_seconds` of a recording, one channel, resampled (soxr VHQ, float64).

    The first channel counts, as upstream; but where it is silent, the loudest. Raises AudioError for what is no usable
    recording: missing, a folder, not audio, empty, silent, with NaN, or shorter than 25 ms.
    """
    path = Path(path)
    if path.is_dir():
        raise AudioError(f"{path} is a folder; give the recording itself, such as {path / 'prompt.wav'}.")
    if not path.exists():
        raise AudioError(f"The recording {path} does not exist.")
    try:
        with path.open("rb") as stream, soundfile.SoundFile(stream) as file:
            rate, channels, frames = file.samplerate, file.channels, file.frames
            if not RATES[0] <= rate <= RATES[1] or not 1 <= channels <= MOST_CHANNELS:
                raise AudioError(f"{path} claims {rate} samples a second and {channels} channels; "
                                 "save it as an ordinary wav file.")
            block = _read_frames(file, int(max_seconds * rate))
    except OSError as problem:
        raise AudioError(f"{path} cannot be read: {problem.strerror or problem}.") from None
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError):
        raise AudioError(f"{path} is not audio that can be read (wav, flac, ogg, mp3); convert it to wav.") from None
    samples = _pick_channel(block)
    _check_samples(path, samples)
    if rate != sample_rate:
        samples = soxr.resample(samples, rate, sample_rate, quality="VHQ")
    if len(samples) < LEAST_SAMPLES:
        raise AudioError(f"{path} lasts {1000 * len(block) / rate:.0f} ms; at least 25 ms are needed, and 3 to 10 s "
                         "make a good voice.")
    return Recording(samples, max(frames, len(block)) / rate, frames > len(block))


def _read_frames(file: soundfile.SoundFile, most: int) -> np.ndarray:
    """Up to `most` frames [N, channels], in blocks, since a header may claim more than the file holds."""
    blocks, left = [], most
    while left > 0:
        block = file.read(min(left, 1 << 16), dtype="float64", always_2d=True)
        if not len(block):
            break
        blocks.append(block)
        left -= len(block)
    return np.concatenate(blocks) if blocks else np.zeros((0, file.channels))


def _pick_channel(block: np.ndarray) -> np.ndarray:
    """The first channel, or the loudest if the first is silent."""
    if not len(block) or block.shape[1] == 1:
        return block[:, 0]
    peaks = np.abs(block).max(axis=0)
    return np.ascontiguousarray(block[:, 0 if not peaks[0] < SILENCE else int(np.nanargmax(peaks))])


def _check_samples(path: Path, samples: np.ndarray) -> None:
    if not len(samples):
        raise AudioError(f"{path} is empty: it holds no samples.")
    if not np.isfinite(samples).all():
        raise AudioError(f"{path} contains samples that are no numbers (NaN or infinity); export it again.")
    if np.ptp(samples) < SILENCE:
        raise AudioError(f"{path} is silent; record the voice again, with a level near -20 dBFS.")


def write_wav(path: str | Path, samples: np.ndarray, sample_rate: int, overwrite: bool = False) -> Path:
    """Write float samples [N] in [-1, 1] as 16-bit PCM (32768 full scale, saturating), atomically.

    Raises OutputError if the file exists (and `overwrite` is not set) or cannot be written.
    """
    if not np.isfinite(samples).all():
        raise OutputError(f"{path} was not written: the samples contain NaN or infinity.")
    pcm = np.clip(np.rint(np.asarray(samples, np.float64) * 32768), -32768, 32767).astype(np.int16)
    with new_file(path, overwrite) as temporary:
        soundfile.write(temporary, pcm, sample_rate, format="WAV", subtype="PCM_16")
    return Path(path)


def _take_name(temporary: str, path: Path, overwrite: bool) -> None:
    if overwrite:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)            # fails if the name is taken, also by somebody who was faster
    except FileExistsError:
        raise
    except OSError:                         # a file system without hard links
        if path.exists():
            raise FileExistsError(path) from None
        os.replace(temporary, path)


@contextlib.contextmanager
def new_file(path: str | Path, overwrite: bool = False) -> Iterator[str]:
    """A temporary file beside `path` to write to; it takes the name when the block ends well, and is gone otherwise.

    The folder is made if it is missing. Raises OutputError for whatever the file system refuses.
    """
    path = Path(path)
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        yield temporary
        _set_mode(temporary)
        _take_name(temporary, path, overwrite)
    except FileExistsError:
        raise OutputError(f"{path} exists already and is not overwritten; choose another name or remove it.") from None
    except (OSError, soundfile.SoundFileError, RuntimeError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise OutputError(f"{path} cannot be written: {reason}.") from None
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def check_writable(folder: str | Path) -> None:
    """Make the folder and try to write there, before hours of work depend on it. Raises OutputError."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".write-test."):
            pass
    except OSError as problem:
        raise OutputError(f"Nothing can be written to {folder}: {problem.strerror or problem}.") from None


def unused_name(folder: str | Path, stem: str, suffix: str) -> Path:
    """`stem` + `suffix` in `folder`, or with -2, -3, ... until the name is free."""
    path, number = Path(folder) / f"{stem}{suffix}", 1
    while path.exists():
        number += 1
        path = Path(folder) / f"{stem}-{number}{suffix}"
    return path


def _set_mode(path: str) -> None:
    """The mode an ordinary new file would have; mkstemp makes it private."""
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(path, 0o666 & ~mask)
