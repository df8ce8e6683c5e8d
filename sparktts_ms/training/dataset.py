"""Encoded recordings: token ids and attributes of speech, cached on disk as they are computed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparktts_ms.audio.loudness import speech_seconds
from sparktts_ms.audio.pitch import median_pitch
from sparktts_ms.audio.recording import read_recording
from sparktts_ms.errors import AudioError, InputError
from sparktts_ms.generation.prompt import join_transcript
from sparktts_ms.text.syllables import count_syllables
from sparktts_ms.training.json_lines import append_json_line, read_json_lines
from sparktts_ms.training.manifest import ManifestEntry

if TYPE_CHECKING:
    from sparktts_ms.pipeline import SparkTTS

logger = logging.getLogger("sparktts_ms")


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
                cached[key] = _encode(entry, tts)
            except AudioError as error:
                logger.warning("%s It is left out.", error)
                continue
            append_json_line(cache, {"key": key, **cached[key]})
        recordings.append(EncodedRecording(
            entry.text, entry.speaker, entry.gender, **cached[key], audio=entry.audio))
    if not recordings:
        raise InputError("None of the manifest's recordings could be used.")
    return recordings


def _cache_key(entry: ManifestEntry) -> str:
    """Identifies the audio file by its path, size and modification time."""
    try:
        status = entry.audio.stat()
        identity = f"{entry.audio}\n{status.st_size}\n{status.st_mtime_ns}"
    except OSError:
        identity = str(entry.audio)
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def _encode(entry: ManifestEntry, tts: SparkTTS) -> dict:
    voice = tts.encode_voice(entry.audio, entry.text)
    samples = read_recording(entry.audio, tts.sample_rate).samples
    return {
        "global_ids": voice.global_ids.tolist(),
        "semantic_ids": voice.semantic_ids.tolist(),
        "pitch": round(median_pitch(samples), 2),
        "seconds": round(speech_seconds(samples, tts.sample_rate), 3),
    }
