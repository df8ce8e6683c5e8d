"""Encoded recordings: token ids and attributes of speech, cached on disk as they are computed."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from sparktts_ms.audio.loudness import speech_seconds
from sparktts_ms.audio.pitch import median_pitch
from sparktts_ms.audio.recording import read_recording
from sparktts_ms.audio.sound_file import open_sound_file
from sparktts_ms.errors import AudioError, InputError
from sparktts_ms.generation.prompt import join_transcript
from sparktts_ms.text.syllables import count_syllables
from sparktts_ms.training.json_lines import append_json_line, read_json_lines
from sparktts_ms.training.manifest import ManifestEntry

if TYPE_CHECKING:
    from sparktts_ms.pipeline import SparkTTS

logger = logging.getLogger("sparktts_ms")

MAX_PART_SECONDS = 60.0     # of a file; a longer one is refused as a recording anyway
TOLERANCE = 0.1             # seconds by which a stated duration may differ from the file's


@dataclass(frozen=True)
class EncodedRecording:
    """A recording as the language model sees it.

    global_ids: voice [32]; semantic_ids: speech [T], 50 a second; pitch: median f0 in Hz, 0 if
    unvoiced; seconds: duration without silence; audio: the file it was read from.
    """

    text: str
    speaker: str | None
    gender: str | None
    global_ids: list[int]
    semantic_ids: list[int]
    pitch: float
    seconds: float
    audio: Path | None = None

    @property
    def speaking_rate(self) -> float:
        """Syllables per second."""
        return count_syllables(self.text) / max(self.seconds, 0.02)

    def concatenate(self, following: EncodedRecording) -> EncodedRecording:
        """One recording of both, with the voice and the pitch of this one."""
        return EncodedRecording(
            join_transcript(self.text, following.text), self.speaker, self.gender, self.global_ids,
            [*self.semantic_ids, *following.semantic_ids], self.pitch,
            self.seconds + following.seconds)


def encode_recordings(
    entries: Iterable[ManifestEntry], tts: SparkTTS, cache: Path,
    progress_bar: Callable[[Iterable], Iterable] = iter,
) -> list[EncodedRecording]:
    """Encode every recording with the codec of `tts`.

    What `cache` (JSON Lines) already holds is not computed again, so an interrupted run resumes.
    Unreadable recordings are logged and left out. Raises InputError if none is left.
    """
    cached = {values.pop("key"): values for values in read_json_lines(cache) if "key" in values}
    recordings = []
    for entry in progress_bar(entries):
        key = _cache_key(entry)
        if key not in cached:
            try:
                with _audio_of(entry) as audio:
                    cached[key] = _encode(audio, entry.text, tts)
            except AudioError as error:
                error.subject = entry.audio
                logger.warning("%s It is left out.", error)
                continue
            append_json_line(cache, {"key": key, **cached[key]})
        recordings.append(EncodedRecording(
            entry.text, entry.speaker, entry.gender, **cached[key], audio=entry.audio))
    if not recordings:
        raise InputError("None of the manifest's recordings could be used.")
    return recordings


def _cache_key(entry: ManifestEntry) -> str:
    """Identifies the audio file by its path, size and modification time, and the part of it."""
    try:
        status = entry.audio.stat()
        identity = f"{entry.audio}\n{status.st_size}\n{status.st_mtime_ns}"
    except OSError:
        identity = str(entry.audio)
    if entry.offset or entry.duration is not None:
        identity += f"\n{entry.offset!r}\n{entry.duration!r}"
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


@contextlib.contextmanager
def _audio_of(entry: ManifestEntry) -> Iterator[Path]:
    """The file of an entry, or for a part of it, a file with that part. Raises AudioError."""
    part = _part(entry)
    if part is None:
        yield entry.audio
        return
    samples, rate = part
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.wav"
        soundfile.write(path, samples, rate, subtype="FLOAT")
        yield path


def _part(entry: ManifestEntry) -> tuple[np.ndarray, int] | None:
    """Samples [N, channels] and sample rate of a part of a file; None if it is all of it.

    NeMo states the duration also where it is that of the file.
    """
    if not entry.offset and entry.duration is None:
        return None
    seconds = MAX_PART_SECONDS if entry.duration is None else min(entry.duration, MAX_PART_SECONDS)
    with open_sound_file(entry.audio, entry.offset + seconds + 1) as file:
        rate = file.sample_rate
        start = round(entry.offset * rate)
        end = start + round(seconds * rate)
        position = 0
        blocks = []
        for block in file.blocks():
            blocks.append(block[max(0, start - position):max(0, end - position)])
            position += len(block)
            if position > end + rate * TOLERANCE:
                break
    if not entry.offset and position <= end + rate * TOLERANCE:
        return None
    samples = np.concatenate(blocks) if blocks else np.zeros((0, 1))
    if not len(samples):
        raise AudioError(f"{{subject}} ends before {entry.offset:g} s, where a part of it should "
                         "begin.", subject=entry.audio)
    return samples, rate


def _encode(audio: Path, text: str, tts: SparkTTS) -> dict:
    voice = tts.encode_voice(audio, text)
    samples = read_recording(audio, tts.sample_rate).samples
    return {
        "global_ids": voice.global_ids.tolist(),
        "semantic_ids": voice.semantic_ids.tolist(),
        "pitch": round(median_pitch(samples), 2),
        "seconds": round(speech_seconds(samples, tts.sample_rate), 3),
    }
