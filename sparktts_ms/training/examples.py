"""Recordings as token ids, kept in a file as they are made; and the sequences a language model learns from.

A sequence is a prompt as inference gives it (`prompt.py`) and what the model should have answered (`phases.py`).
"""

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

from sparktts_ms.audio.files import read_prompt
from sparktts_ms.audio.pitch import median_pitch
from sparktts_ms.errors import AudioError, InputError
from sparktts_ms.labels import LEVELS, pitch_label, pitch_value, speed_label, speed_value, spoken_seconds, syllables
from sparktts_ms.prompt import Style, clone_prompt, join, style_prompt
from sparktts_ms.training.manifest import Recording
from sparktts_ms.utterance import TOKENS_PER_SECOND
from sparktts_ms.vocabulary import Vocabulary

if TYPE_CHECKING:
    from sparktts_ms.pipeline import SparkTTS

logger = logging.getLogger("sparktts_ms")

PAUSES = frozenset(("", "pau", "sil", "SIL", "sp", "spn"))      # as aligners call them
SLACK = 0.002           # seconds between a word's end and its last phone's


@dataclass(frozen=True)
class Encoded:
    """A recording as the model sees it: ids of its voice [32] and of its speech [T], median Hz, spoken seconds; if known, the
    second at which each word and each phone ends."""

    text: str
    speaker: str | None
    gender: str | None
    global_ids: list[int]
    semantic_ids: list[int]
    pitch: float
    seconds: float
    word_ends: tuple[float, ...] | None = None
    phones: tuple[tuple[str, float], ...] | None = None

    @property
    def course(self) -> np.ndarray | None:
        """[words, 2]: at which frame each word ends, and at which byte of the text."""
        if self.word_ends is None:
            return None
        return np.array([(end * TOKENS_PER_SECOND, _bytes(self.text[:word.end()])) for end, word in
                         zip(self.word_ends, re.finditer(r"\S+", self.text), strict=True)], np.float32)

    @property
    def sounds(self) -> np.ndarray | None:
        """Names [T]: the phone in the middle of each frame."""
        if self.phones is None:
            return None
        names, ends = zip(*self.phones, strict=True)
        return np.array(names)[np.minimum(np.searchsorted(ends, self._middles), len(names) - 1)]

    @property
    def places(self) -> np.ndarray | None:
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
    def spelling(self) -> tuple[tuple[str, ...], ...] | None:
        """The phones of each word; none where that is not known."""
        if self.phones is None or self.word_ends is None:
            return None
        owner = np.searchsorted(np.array(self.word_ends) + SLACK, [end for _, end in self.phones])
        return tuple(tuple(name for (name, _), n in zip(self.phones, owner, strict=True) if n == word and name not in PAUSES)
                     for word in range(len(self.word_ends)))

    @property
    def rate(self) -> float:
        """Syllables per second."""
        return syllables(self.text) / max(self.seconds, 0.02)


@dataclass(frozen=True)
class Sequence:
    """Ids [L] of which the first `given` are prompt: not learnt, only read. `course` [K, 2], if known: frames of speech, and how
    many bytes of the text have been said by then. `sounds` [T], if known: the phone of each frame that is learnt, `places` [T, 2]
    where in the text that is (see Encoded); `spelling`: the phones of each word of the text."""

    ids: np.ndarray
    given: int
    course: np.ndarray | None = None
    sounds: np.ndarray | None = None
    spelling: tuple[tuple[str, ...], ...] | None = None
    places: np.ndarray | None = None


def encode(recordings: Iterable[Recording], tts: SparkTTS, cache: Path,
           progress: Callable[[Iterable], Iterable] = iter) -> list[Encoded]:
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
            found.append(Encoded(recording.text, recording.speaker, recording.gender, **known[key],
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
    samples = read_prompt(recording.audio, tts.sample_rate).samples
    return {"global_ids": voice.global_ids.tolist(), "semantic_ids": voice.semantic_ids.tolist(),
            "pitch": round(median_pitch(samples), 2), "seconds": round(spoken_seconds(samples, tts.sample_rate), 3)}


def clone_sequence(v: Vocabulary, spoken: Encoded) -> Sequence:
    """Text and voice are given; speech is learnt."""
    prompt = clone_prompt(v, spoken.text, spoken.global_ids)
    answer = [v.start_semantic_token, *_speech(v, spoken.semantic_ids)]
    return Sequence(np.array([*prompt, *answer], np.int32), len(prompt), spoken.course, spoken.sounds, spoken.spelling,
                    spoken.places)


def continued_sequence(v: Vocabulary, prompt: Encoded, spoken: Encoded) -> Sequence:
    """A recording with its transcript is given, and another text; its speech, in the recording's voice, is learnt."""
    given = clone_prompt(v, spoken.text, prompt.global_ids, prompt.text, prompt.semantic_ids)
    course = None
    if prompt.course is not None and spoken.course is not None:
        before = (len(prompt.semantic_ids), _bytes(join(prompt.text, spoken.text)) - _bytes(spoken.text))
        course = np.concatenate([prompt.course, spoken.course + np.array(before, np.float32)])
    spelling = None
    if prompt.spelling is not None and spoken.spelling is not None:
        spelling = prompt.spelling + spoken.spelling
        if not re.search(r"\s", join(prompt.text, spoken.text)[len(prompt.text):-len(spoken.text)]):
            met = len(prompt.spelling)          # no space between the two texts: to the tokenizer one word
            spelling = (*spelling[:met - 1], (), *spelling[met + 1:])
    return Sequence(np.array([*given, *_speech(v, spoken.semantic_ids)], np.int32), len(given), course, spoken.sounds, spelling,
                    spoken.places)


def style_sequence(v: Vocabulary, spoken: Encoded) -> Sequence | None:
    """Text and labels are given; values, voice and speech are learnt. None without gender or pitch."""
    if spoken.gender is None or not spoken.pitch:
        return None
    style = Style(spoken.gender, LEVELS[pitch_label(spoken.pitch, spoken.gender)], LEVELS[speed_label(spoken.rate, spoken.text)])
    prompt = style_prompt(v, spoken.text, style)
    answer = [v.start_acoustic_token, v.pitch_value[pitch_value(spoken.pitch)], v.speed_value[speed_value(spoken.rate)],
              v.end_acoustic_token, v.start_global_token, *(v.bicodec_global[g] for g in spoken.global_ids),
              v.end_global_token, v.start_semantic_token, *_speech(v, spoken.semantic_ids)]
    return Sequence(np.array([*prompt, *answer], np.int32), len(prompt), spoken.course, spoken.sounds, spoken.spelling,
                    spoken.places)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8"))


def _speech(v: Vocabulary, semantic_ids: Iterable[int]) -> list[int]:
    return [*(v.bicodec_semantic[s] for s in semantic_ids), v.end]


def sequences(v: Vocabulary, spoken: list[Encoded], random: np.random.Generator, longest: int) -> list[Sequence]:
    """One epoch: each recording once as a clone (half of them continuing another of the same speaker, where there is one
    and it fits) and once by its labels, in random order. What exceeds `longest` ids is left out."""
    by_speaker: dict[str | None, list[Encoded]] = {}
    for one in spoken:
        by_speaker.setdefault(one.speaker, []).append(one)
    made: list[Sequence | None] = []
    for one in spoken:
        fellows = by_speaker[one.speaker]
        joined = None
        if one.speaker is not None and len(fellows) > 1 and random.random() < 0.5:
            other = fellows[int(random.integers(len(fellows)))]
            if other is not one:
                joined = continued_sequence(v, other, one)
        made.append(joined if joined is not None and len(joined.ids) <= longest else clone_sequence(v, one))
        made.append(style_sequence(v, one))
    kept = [sequence for sequence in made if sequence is not None and len(sequence.ids) <= longest]
    if not kept:
        raise InputError(f"No recording gives a sequence of at most {longest} tokens; raise --longest or cut the recordings.")
    return [kept[n] for n in random.permutation(len(kept))]
