"""When each character of a text is spoken: where its clause begins and ends is known, in between
it is estimated from syllables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sparktts_ms.text.syllables import SYLLABIC_CHARACTER

SYLLABIC, DIGIT, LETTER, MARK, SPACE = 1.0, 1.2, 0.35, 0.3, 0.15    # relative durations


@dataclass(frozen=True)
class Alignment:
    """characters: of the text, one by one. times: [len(characters) + 1], milliseconds at which each
    begins, and the last one ends."""

    characters: Sequence[str]
    times: Sequence[int]

    def by_start(self) -> dict:
        """As in messages of WebSockets."""
        durations = [end - begin for begin, end in pairwise(self.times)]
        return {"chars": list(self.characters), "charStartTimesMs": list(self.times[:-1]),
                "charDurationsMs": durations}

    def in_seconds(self) -> dict:
        """As in responses of HTTP."""
        seconds = [time / 1000 for time in self.times]
        return {"characters": list(self.characters), "character_start_times_seconds": seconds[:-1],
                "character_end_times_seconds": seconds[1:]}


def align(text: str, begin: float, end: float) -> Alignment:
    """The characters of a text that is spoken from `begin` to `end`, in seconds; each white space
    is one space."""
    characters = [" " if character.isspace() else character for character in text]
    weights = [_weight(character) for character in characters]
    scale = (end - begin) / (sum(weights) or 1.0)
    time = begin
    times = [round(1000 * begin)]
    for weight in weights:
        time += scale * weight
        times.append(round(1000 * time))
    return Alignment(characters, times)


def _weight(character: str) -> float:
    if SYLLABIC_CHARACTER.match(character):
        return SYLLABIC
    if character.isspace():
        return SPACE
    if character.isdigit():
        return DIGIT
    return LETTER if character.isalpha() else MARK
