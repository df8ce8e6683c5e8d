"""Recordings with a forced alignment: where their words and phones end.

A manifest line may have `word_ends`, the second at which each word of the text ends, and `phones`,
[name, the second at which it ends] of every phone and pause.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparktts_ms.errors import InputError
from sparktts_ms.generation.vocabulary import TOKENS_PER_SECOND
from sparktts_ms.training.dataset import EncodedRecording

PAUSES = frozenset(("", "pau", "sil", "SIL", "sp", "spn"))      # names that aligners give to them
TOLERANCE = 0.002       # seconds between the end of a word and that of its last phone
MAX_SECONDS = 3600

Pronunciation = tuple[tuple[str, ...], ...]     # the phones of each word, none where not known


@dataclass(frozen=True)
class AlignedRecording(EncodedRecording):
    """An encoded recording with, if known, the second at which each word and each phone ends.

    loss_mask: bool [T], the frames to learn; None for all of them.
    """

    word_ends: tuple[float, ...] | None = None
    phones: tuple[tuple[str, float], ...] | None = None
    loss_mask: np.ndarray | None = None

    @property
    def word_alignment(self) -> np.ndarray | None:
        """float32 [words, 2]: the frame and the byte of the text at which each word ends."""
        if self.word_ends is None:
            return None
        rows = []
        words = re.finditer(r"\S+", self.text)
        for seconds, word in zip(self.word_ends, words, strict=True):
            text_bytes = len(self.text[:word.end()].encode("utf-8"))
            rows.append((seconds * TOKENS_PER_SECOND, text_bytes))
        return np.array(rows, np.float32)

    @property
    def frame_phones(self) -> np.ndarray | None:
        """The name of the phone in the middle of each frame [T]."""
        if self.phones is None:
            return None
        names = np.array([name for name, _ in self.phones])
        return names[self._phone_of_frame()]

    @property
    def phone_positions(self) -> np.ndarray | None:
        """int [T, 2]: in the middle of each frame, the number of words left, the current one
        included, and the index of the current phone in its word; -1 in a pause."""
        if self.phones is None or self.word_ends is None:
            return None
        word_of_phone = self._word_of_phone()
        voiced = np.array([name not in PAUSES for name, _ in self.phones])
        index = np.cumsum(voiced) - voiced
        index -= index[np.searchsorted(word_of_phone, word_of_phone)]   # from the word's first
        current = self._phone_of_frame()
        words_left = len(self.word_ends) - word_of_phone[current]
        return np.stack([words_left, np.where(voiced, index, -1)[current]], 1)

    @property
    def pronunciation(self) -> Pronunciation | None:
        """The phones of each word."""
        if self.phones is None or self.word_ends is None:
            return None
        words: list[list[str]] = [[] for _ in self.word_ends]
        for (name, _), word in zip(self.phones, self._word_of_phone(), strict=True):
            if name not in PAUSES and word < len(words):
                words[word].append(name)
        return tuple(tuple(word) for word in words)

    def concatenate(self, following: EncodedRecording) -> AlignedRecording:
        """As EncodedRecording does. Where the texts meet without a space, two words become one
        whose pronunciation is not known."""
        both = super().concatenate(following)
        word_ends = None
        phones = None
        if isinstance(following, AlignedRecording) and self.word_ends and following.word_ends:
            offset = len(self.semantic_ids) / TOKENS_PER_SECOND
            later = tuple(end + offset for end in following.word_ends)
            words_meet = len(both.text.split()) < len(self.word_ends) + len(later)
            word_ends = (*(self.word_ends[:-1] if words_meet else self.word_ends), *later)
            if self.phones is not None and following.phones is not None:
                moved = tuple((name, end + offset) for name, end in following.phones)
                phones = (*self.phones, *moved)
                if words_meet:
                    start = max((0.0, *self.word_ends[:-1]))
                    phones = _without_names(phones, start, later[0])
        return AlignedRecording(**vars(both), word_ends=word_ends, phones=phones)

    def _phone_of_frame(self) -> np.ndarray:
        """The index of the phone in the middle of each frame [T]."""
        middles = (np.arange(len(self.semantic_ids)) + 0.5) / TOKENS_PER_SECOND
        ends = [end for _, end in self.phones]
        return np.minimum(np.searchsorted(ends, middles), len(ends) - 1)

    def _word_of_phone(self) -> np.ndarray:
        """The index of the word of each phone; behind the last word its number."""
        phone_ends = [end for _, end in self.phones]
        return np.searchsorted(np.array(self.word_ends) + TOLERANCE, phone_ends)


def _without_names(phones: tuple, start: float, end: float) -> tuple:
    """`phones` with empty names for those that end within a word."""
    result = []
    for name, seconds in phones:
        inside = start < seconds - TOLERANCE <= end
        result.append(("" if inside else name, seconds))
    return tuple(result)


Alignments = dict[tuple[Path, str], dict]       # by audio and text: word_ends and phones


def read_alignments(manifest: Path) -> Alignments:
    """The alignments in a manifest that `read_manifest` accepts. Raises InputError."""
    alignments = {}
    lines = manifest.read_text(encoding="utf-8-sig").splitlines()
    for number, line in enumerate(lines, 1):
        if line.strip():
            entry = json.loads(line)
            text = entry["text"].strip()
            try:
                alignment = {"word_ends": _word_ends(entry, text), "phones": _phones(entry)}
            except ValueError as problem:
                raise InputError(f"{{subject}} line {number}: {problem}",
                                 subject=manifest) from None
            alignments[manifest.parent / entry["audio"], text] = alignment
    return alignments


def align_recordings(
    recordings: Iterable[EncodedRecording], alignments: Alignments
) -> list[AlignedRecording]:
    """Encoded recordings with their alignments, where there are any."""
    aligned = []
    for recording in recordings:
        alignment = alignments.get((recording.audio, recording.text), {})
        aligned.append(AlignedRecording(**vars(recording), **alignment))
    return aligned


def _word_ends(entry: dict, text: str) -> tuple[float, ...] | None:
    seconds = entry.get("word_ends")
    if seconds is None:
        return None
    count = len(text.split())
    if not _ascending(seconds) or len(seconds) != count:
        raise ValueError(f"word_ends must be {count} ascending seconds, one for each word.")
    return tuple(seconds)


def _phones(entry: dict) -> tuple[tuple[str, float], ...] | None:
    phones = entry.get("phones")
    if phones is None:
        return None
    problem = "phones must be pairs of a name and the second at which it ends, in ascending order."
    if not isinstance(phones, list) or not phones:
        raise ValueError(problem)
    for pair in phones:
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise ValueError(problem)
    if not _ascending([end for _, end in phones]):
        raise ValueError(problem)
    return tuple((name, end) for name, end in phones)


def _ascending(seconds: object) -> bool:
    if not isinstance(seconds, list):
        return False
    for value in seconds:
        if type(value) not in (int, float) or not 0 <= value < MAX_SECONDS:
            return False
    return sorted(seconds) == seconds
