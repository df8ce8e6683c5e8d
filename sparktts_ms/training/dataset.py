"""Recordings as the model sees them: token ids and what is known of the speech, kept in a file as they are made."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sparktts_ms.audio.loudness import speech_seconds
from sparktts_ms.audio.pitch import median_pitch
from sparktts_ms.audio.recording import read_recording
from sparktts_ms.errors import AudioError, InputError
from sparktts_ms.generation.prompt import join_transcript
from sparktts_ms.generation.vocabulary import TOKENS_PER_SECOND
from sparktts_ms.text.syllables import count_syllables
from sparktts_ms.training.manifest import Recording

if TYPE_CHECKING:
    from sparktts_ms.pipeline import SparkTTS

logger = logging.getLogger("sparktts_ms")

PAUSES = frozenset(("", "pau", "sil", "SIL", "sp", "spn"))      # as aligners call them
SLACK = 0.002           # seconds between a word's end and its last phone's


@dataclass(frozen=True)
class EncodedRecording:
    """A recording as the model sees it: ids of its voice [32] and of its speech [T], median Hz, spoken seconds; if known, the
    second at which each word and each phone ends; which of its frames [T] are learnt, if not all (`warp.py`)."""

    text: str
    speaker: str | None
    gender: str | None
    global_ids: list[int]
    semantic_ids: list[int]
    pitch: float
    seconds: float
    word_ends: tuple[float, ...] | None = None
    phones: tuple[tuple[str, float], ...] | None = None
    loss_mask: np.ndarray | None = None

    @property
    def word_alignment(self) -> np.ndarray | None:
        """[words, 2]: at which frame each word ends, and at which byte of the text."""
        if self.word_ends is None:
            return None
        return np.array([(end * TOKENS_PER_SECOND, _bytes(self.text[:word.end()])) for end, word in
                         zip(self.word_ends, re.finditer(r"\S+", self.text), strict=True)], np.float32)

    @property
    def frame_phones(self) -> np.ndarray | None:
        """Names [T]: the phone in the middle of each frame."""
        if self.phones is None:
            return None
        names, ends = zip(*self.phones, strict=True)
        return np.array(names)[np.minimum(np.searchsorted(ends, self._middles), len(names) - 1)]

    @property
    def phone_positions(self) -> np.ndarray | None:
        """[T, 2]: in the middle of each frame, how many words are left to say, with the one being said, and which of its phones
        comes; -1 in a pause."""
        if self.phones is None or self.word_ends is None:
            return None
        names, ends = zip(*self.phones, strict=True)
        word_ends = np.array(self.word_ends) + SLACK
        owner = np.searchsorted(word_ends, ends)
        spoken = np.array([name not in PAUSES for name in names])
        before = np.cumsum(spoken) - spoken                 # of all phones; then of the word's own
        before -= before[np.searchsorted(owner, owner)]
        now = np.minimum(np.searchsorted(ends, self._middles), len(names) - 1)
        return np.stack([len(word_ends) - owner[now], np.where(spoken, before, -1)[now]], 1)

    @property
    def _middles(self) -> np.ndarray:
        return (np.arange(len(self.semantic_ids)) + 0.5) / TOKENS_PER_SECOND

    @property
    def pronunciation(self) -> tuple[tuple[str, ...], ...] | None:
        """The phones of each word; none where that is not known."""
        if self.phones is None or self.word_ends is None:
            return None
        owner = np.searchsorted(np.array(self.word_ends) + SLACK, [end for _, end in self.phones])
        return tuple(tuple(name for (name, _), n in zip(self.phones, owner, strict=True) if n == word and name not in PAUSES)
                     for word in range(len(self.word_ends)))

    @property
    def rate(self) -> float:
        """Syllables per second."""
        return count_syllables(self.text) / max(self.seconds, 0.02)


def encode(recordings: Iterable[Recording], tts: SparkTTS, cache: Path,
           progress: Callable[[Iterable], Iterable] = iter) -> list[EncodedRecording]:
    """Every recording through the codec. What `cache` (JSON lines) already holds is not made again, so an interrupted run
    goes on where it was. Recordings that cannot be read are named and left out; InputError if none is left."""
    known: dict[str, dict] = {}
    if cache.exists():
        for line in cache.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                known[entry.pop("key")] = entry
            except (ValueError, KeyError, AttributeError, TypeError):
                continue                        # the line at which a run was killed
    found = []
    with cache.open("a", encoding="utf-8") as file:
        if cache.stat().st_size and not cache.read_bytes().endswith(b"\n"):
            file.write("\n")
        for recording in progress(recordings):
            key = _key(recording)
            if key not in known:
                try:
                    known[key] = _measure(recording, tts)
                except AudioError as error:
                    logger.warning("%s It is left out.", error)
                    continue
                file.write(json.dumps({"key": key, **known[key]}) + "\n")
                file.flush()
            found.append(EncodedRecording(recording.text, recording.speaker, recording.gender, **known[key],
                                 word_ends=recording.word_ends, phones=recording.phones))
    if not found:
        raise InputError("None of the manifest's recordings could be used.")
    return found


def _key(recording: Recording) -> str:
    try:
        state = recording.audio.stat()
        identity = f"{recording.audio}\n{state.st_size}\n{state.st_mtime_ns}"
    except OSError:
        identity = str(recording.audio)
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def _measure(recording: Recording, tts: SparkTTS) -> dict:
    voice = tts.encode_voice(recording.audio, recording.text)
    samples = read_recording(recording.audio, tts.sample_rate).samples
    return {"global_ids": voice.global_ids.tolist(), "semantic_ids": voice.semantic_ids.tolist(),
            "pitch": round(median_pitch(samples), 2), "seconds": round(speech_seconds(samples, tts.sample_rate), 3)}


def concatenate(first: EncodedRecording, second: EncodedRecording) -> EncodedRecording:
    """One recording of both, the second after the first: its voice and its pitch are the first's. Where no space comes between
    the two texts they meet in one word, of which no phones are told."""
    text, later = join_transcript(first.text, second.text), len(first.semantic_ids) / TOKENS_PER_SECOND
    ends = phones = None
    if first.word_ends is not None and second.word_ends is not None:
        before, after = first.word_ends, tuple(end + later for end in second.word_ends)
        met = len(text.split()) < len(before) + len(after)
        ends = (*before[:-1], *after) if met else (*before, *after)
        if first.phones is not None and second.phones is not None:
            phones = (*first.phones, *((name, end + later) for name, end in second.phones))
            if met:
                begin = max((0.0, *before[:-1]))
                phones = tuple(("" if begin < end - SLACK <= after[0] else name, end) for name, end in phones)
    return EncodedRecording(text, first.speaker, first.gender, first.global_ids, [*first.semantic_ids, *second.semantic_ids],
                   first.pitch, first.seconds + second.seconds, ends, phones)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8"))
