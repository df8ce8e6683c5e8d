"""Reading recordings of a voice: where the speech begins, in which channel, at which level.

Nothing that a file claims is trusted; every failure is an AudioError.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from sparktts_ms.audio import voice_activity
from sparktts_ms.audio.loudness import measure_offset, usual_level
from sparktts_ms.audio.sound_file import SoundFile, open_sound_file
from sparktts_ms.audio.voice_activity import FRAME_SECONDS, IS_SPEECH
from sparktts_ms.errors import AudioError, Notice

SILENT_AMPLITUDE = 1e-4     # half of peak to peak (-80 dBFS); a channel below it holds no recording
MAX_AMPLITUDE = 1e12        # float files may exceed 1, even hold integers; beyond this is no sound
MIN_SAMPLES = 400           # of one frame of wav2vec 2.0: 25 ms at 16 kHz
MIN_RATE = 1000             # Hz
MAX_RATE = 768_000          # Hz

SEARCH_SECONDS = 150.0      # of a file, in which speech must begin
STAGE_SECONDS = 30.0        # that are searched at a time
OVERLAP_SECONDS = 1.0       # of such stages
MARGIN_SECONDS = 0.1        # kept before the speech
MIN_SKIPPED_SECONDS = 0.5   # a shorter lead stays
MAX_CHANNELS = 8            # in which speech is searched for
MIN_ADVANTAGE = 6.0         # dB of another channel over the first one
IDENTICAL = 1e-4            # of the level, how far equal channels differ

MIN_SECONDS = 1.0           # of a recording and of its speech; less gives a notice
PLATEAU = 0.98              # of the peak; samples above it are many only in a clipped recording
MAX_PLATEAU = 0.003         # of all samples


@dataclass(frozen=True)
class Recording:
    """A voice, from where it begins.

    samples: [N] mono, float64, at a usual level (see `usual_level`). truncated: whether the file
    goes on. speech: whether each 32 ms hold speech, from the first sample on, as far as analyzed.
    speech_found: False if there is none anywhere; the file is then read from its beginning.
    """

    samples: np.ndarray
    truncated: bool
    speech: np.ndarray
    speech_found: bool
    notices: tuple[Notice, ...]


@dataclass(frozen=True)
class _Speech:
    """Where speech begins in a file: channel, seconds, and the probabilities [T] from there on."""

    channel: int
    start: float
    probabilities: np.ndarray


def read_recording(path: str | Path, sample_rate: int = 16000, max_seconds: float = 30.0,
                   analyzed_seconds: float = 10.0) -> Recording:
    """Read `max_seconds` of speech as mono at `sample_rate` Hz (soxr VHQ in one piece, float64).

    The samples begin 0.1 s before the speech, if that begins later than 0.6 s; else with the file,
    as upstream's (`sparktts/utils/audio.py`, load_audio). Speech is searched for in the first
    150 s; `analyzed_seconds` of it are looked at. The first channel is read, unless another one
    holds the voice much better (6 dB); without speech, if the first is silent, the loudest.
    Memory follows `max_seconds`, whatever the header claims. Raises AudioError if the file is
    missing, a folder, unreadable, not audio, empty, silent, not finite or under 25 ms.
    """
    path = Path(path)
    with open_sound_file(path, SEARCH_SECONDS + max_seconds) as file:
        rate = file.sample_rate
        if not MIN_RATE <= rate <= MAX_RATE:
            problem = f"claims a sample rate of {rate} Hz."
            raise _error(path, problem, f"Export it again at {sample_rate} Hz.")
        speech = _find_speech(file, analyzed_seconds)
        start = speech.start if speech else 0.0
        max_samples = int(max_seconds * rate)
        samples, truncated, channel = _read(file, int(start * rate), max_samples, speech)
    _check_samples(path, samples, rate, int(len(samples) * sample_rate / rate + 0.5))
    notices = _notices(samples, rate, speech, channel, truncated)
    if rate != sample_rate:
        samples = soxr.resample(samples, rate, sample_rate, quality="VHQ")
    found = speech.probabilities >= IS_SPEECH if speech else np.zeros(0, bool)
    return Recording(usual_level(samples, sample_rate), truncated, found, speech is not None,
                     notices)


def as_recording(samples: np.ndarray, sample_rate: int, name: str) -> Recording:
    """Samples [N] in memory as a recording: all of them, at a usual level. name: for errors.

    Raises AudioError if they are empty, silent, not finite or under 25 ms.
    """
    samples = samples.astype(np.float64)
    _check_samples(Path(name), samples, sample_rate, len(samples))
    return Recording(usual_level(samples, sample_rate), False, np.zeros(0, bool), True, ())


def _error(path: Path, problem: str, hint: str, code: str | None = None) -> AudioError:
    return AudioError(f"{{subject}} {problem}", hint, subject=path, code=code)


def _find_speech(file: SoundFile, analyzed_seconds: float) -> _Speech | None:
    """The channel that holds the voice, and where it begins; None if there is no speech."""
    rate = voice_activity.SAMPLE_RATE
    count = min(file.channels, MAX_CHANNELS)
    stream = soxr.ResampleStream(file.sample_rate, rate, count, dtype="float32", quality="LQ")
    same_rate = file.sample_rate == rate
    parts: list[np.ndarray] = []
    length = 0
    begin = 0.0                 # seconds of the file before the first part
    ended = False
    blocks = file.blocks()
    while not ended and begin < SEARCH_SECONDS:
        while length < STAGE_SECONDS * rate and not ended:
            block = next(blocks, None)
            ended = block is None
            part = np.zeros((0, count), np.float32)
            if block is not None:
                finite = np.nan_to_num(block[:, :count], posinf=0, neginf=0)
                part = finite.clip(-MAX_AMPLITUDE, MAX_AMPLITUDE).astype(np.float32)
            if not same_rate:
                part = stream.resample_chunk(part, last=ended)
            parts.append(part)
            length += len(part)
        stage = np.concatenate(parts)
        speech = _best_channel(stage, begin, analyzed_seconds)
        if speech is not None:
            return speech
        keep = int(OVERLAP_SECONDS * rate)
        begin += max(0, len(stage) - keep) / rate
        parts = [stage[-keep:]]
        length = len(parts[0])
    return None


def _best_channel(samples: np.ndarray, begin: float, analyzed_seconds: float) -> _Speech | None:
    """The speech in samples [N, channels] at 16 kHz, which lie `begin` seconds into a file."""
    best = None
    best_level = -np.inf
    first_channel = None
    for channel in range(samples.shape[1]):
        voice = samples[:, channel].astype(np.float64)
        voice -= measure_offset(voice)
        difference = np.inf
        if first_channel is None:
            first_channel = voice
        else:
            difference = np.abs(voice - first_channel).max(initial=0.0)
        if difference <= IDENTICAL * np.abs(first_channel).max(initial=0.0):
            continue
        probabilities = voice_activity.speech_probabilities(voice, analyzed_seconds)
        level = voice_activity.voice_level(voice, probabilities)
        if level > best_level + (MIN_ADVANTAGE if best is not None else 0):
            first = voice_activity.first_speech(probabilities)
            assert first is not None
            start = begin + first * FRAME_SECONDS - MARGIN_SECONDS
            start = start if start >= MIN_SKIPPED_SECONDS else 0.0
            skipped = max(0, int((start - begin) / FRAME_SECONDS))
            best = _Speech(channel, start, probabilities[skipped:])
            best_level = level
    return best


def _read(file: SoundFile, start: int, max_samples: int,
          speech: _Speech | None) -> tuple[np.ndarray, bool, int]:
    """Samples [N <= max_samples] from `start` on, whether more follow, and the channel: the one
    with speech; without, the first, or if that is silent and another is not, the loudest."""
    channel = speech.channel if speech else 0
    samples, truncated, amplitudes = _read_channel(file, start, max_samples, channel)
    silent = len(samples) and amplitudes[channel] < SILENT_AMPLITUDE <= np.nanmax(amplitudes)
    if silent and speech is None:
        channel = int(np.nanargmax(amplitudes))
        samples, truncated, _ = _read_channel(file, start, max_samples, channel)
    return samples, truncated, channel


def _read_channel(file: SoundFile, start: int, max_samples: int,
                  channel: int) -> tuple[np.ndarray, bool, np.ndarray]:
    """Samples [N <= max_samples] of one channel from `start` on, whether more follow, and half of
    peak to peak of every channel."""
    parts = [np.zeros(0)]
    low = np.full(file.channels, np.inf)
    high = np.full(file.channels, -np.inf)
    position = 0
    end = start + max_samples
    for block in file.blocks():
        first = max(0, start - position)
        part = block[first:end - position]
        position += len(block)
        if len(part):
            parts.append(part[:, channel].copy())
            low = np.minimum(low, part.min(axis=0))
            high = np.maximum(high, part.max(axis=0))
        if position > end:
            break
    with np.errstate(invalid="ignore"):
        return np.concatenate(parts), position > end, (high - low) / 2


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


def _notices(samples: np.ndarray, rate: int, speech: _Speech | None, channel: int,
             truncated: bool) -> tuple[Notice, ...]:
    """What the user should know of samples [N] that were read."""
    seconds = len(samples) / rate
    notices = []
    if speech is not None and speech.start > 0:
        text = "The first {seconds:.1f} s of {subject} hold no speech and are left out."
        notices.append(Notice("late_speech", text, (("seconds", round(speech.start, 1)),)))
    if channel > 0:
        text = "The voice in {subject} is in channel {channel}; the others are left out."
        notices.append(Notice("other_channel", text, (("channel", channel + 1),)))
    if seconds < MIN_SECONDS:
        text = "{subject} lasts only {seconds:.1f} s; 3 to 10 s give a better voice."
        notices.append(Notice("short_recording", text, (("seconds", round(seconds, 1)),)))
    elif speech is None:
        text = "No speech was found in {subject}; the voice may be any."
        notices.append(Notice("no_speech_found", text))
    elif (spoken := (speech.probabilities >= IS_SPEECH).sum() * FRAME_SECONDS) < MIN_SECONDS:
        text = "{subject} holds only {seconds:.1f} s of speech; 3 to 10 s give a better voice."
        notices.append(Notice("little_speech", text, (("seconds", round(float(spoken), 1)),)))
    if _is_clipped(samples):
        text = "{subject} is clipped: it was recorded too loud, and the voice will be rough."
        notices.append(Notice("clipped", text))
    return tuple(notices)


def _is_clipped(samples: np.ndarray) -> bool:
    """Whether samples [N] stay at their highest or lowest value for longer than sound does."""
    high = (samples > PLATEAU * samples.max()).mean() if samples.max() > 0 else 0.0
    low = (samples < PLATEAU * samples.min()).mean() if samples.min() < 0 else 0.0
    return high + low > MAX_PLATEAU
