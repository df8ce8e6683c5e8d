"""Recordings as token ids, kept in a file as they are made; and the sequences a language model learns from.

A sequence is a prompt as inference gives it (`prompt.py`) and what the model should have answered (`phases.py`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
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
TRIED = 16              # recordings among which those most like another are looked for
USUAL = 1.25            # times a speaker's median pace, or its inverse


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
    both = joined(prompt, spoken)
    return Sequence(np.array([*given, *_speech(v, spoken.semantic_ids)], np.int32), len(given), both.course, spoken.sounds,
                    both.spelling, spoken.places)


def joined(first: Encoded, second: Encoded) -> Encoded:
    """One recording of both, the second after the first: its voice and its pitch are the first's. Where no space comes between
    the two texts they meet in one word, of which no phones are told."""
    text, later = join(first.text, second.text), len(first.semantic_ids) / TOKENS_PER_SECOND
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
    return Encoded(text, first.speaker, first.gender, first.global_ids, [*first.semantic_ids, *second.semantic_ids],
                   first.pitch, first.seconds + second.seconds, ends, phones)


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
    """One epoch, in random order: each recording once by its labels and once as a clone. A third of the clones continue other
    recordings of the same speaker at about the same pace and pitch, one or two of them, where there are any and it fits. So does
    each that is unusually slow or fast for its speaker, or it is left out of the clones: nothing else in a clone's prompt tells
    the pace, and without a transcript a voice should speak as it usually does. What exceeds `longest` ids is left out."""
    by_speaker: dict[str | None, list[Encoded]] = {}
    for one in spoken:
        by_speaker.setdefault(one.speaker, []).append(one)
    made: list[Sequence | None] = []
    for speaker, recordings in by_speaker.items():
        manners = np.log([(max(one.rate, 0.1), max(one.pitch, 20.0)) for one in recordings])
        usual = np.abs(manners[:, 0] - np.median(manners[:, 0])) <= math.log(USUAL)
        for n, one in enumerate(recordings):
            by_labels, clone = style_sequence(v, one), None
            expected = speaker is None or usual[n] or by_labels is None
            if speaker is not None and (not expected or random.random() < 1 / 3):
                tried = np.unique(random.integers(len(recordings), size=TRIED))
                tried = tried[tried != n]
                alike = tried[np.argsort(np.abs(manners[tried] - manners[n]).sum(1), kind="stable")[:2]]
                clone = _continued(v, [recordings[other] for other in alike], one, longest, random)
            if clone is None and expected:
                clone = clone_sequence(v, one)
            made += [clone, by_labels]
    kept = [sequence for sequence in made if sequence is not None and len(sequence.ids) <= longest]
    if not kept:
        raise InputError(f"No recording gives a sequence of at most {longest} tokens; raise --longest or cut the recordings.")
    return [kept[n] for n in random.permutation(len(kept))]


def _continued(v: Vocabulary, others: list[Encoded], one: Encoded, longest: int, random: np.random.Generator) -> Sequence | None:
    """`one` after both `others`, a third of the times, or after the first; None if there is none or it does not fit."""
    both = [joined(*others)] if len(others) == 2 and random.random() < 1 / 3 else []
    for prompt in [*both, *others[:1]]:
        sequence = continued_sequence(v, prompt, one)
        if len(sequence.ids) <= longest:
            return sequence
    return None
