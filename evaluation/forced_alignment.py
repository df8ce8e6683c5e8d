"""End times of words in a recording by flite, from the phones and times that flite reports.

flite also gives the phones of each word spoken alone; both phone sequences are aligned.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache

import numpy as np

from evaluation.alignment import alignment
from evaluation.sentences import spoken_number, spoken_year

PAUSE = "pau"
# Alignment costs: one phone for another, for a similar one, and for a phone without a partner.
SUBSTITUTION = 11
SIMILAR = 6
GAP = 10


@cache
def word_phones(word: str) -> tuple[str, ...]:
    """Phones of a word spoken alone."""
    command = ["flite", "-voice", "kal16", "-ps", "-t", word, "-o", "none"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return tuple(phone for phone in output.split() if phone != PAUSE)


def word_ends(written: str, spoken: str, phones: list[tuple[str, float]]) -> list[float] | None:
    """End times in seconds of the words of `written`.

    spoken: the same text as it was spoken, in lower case without punctuation or digits.
    phones: names and end times of the recording's phones.
    Returns None if the two texts do not contain the same words.
    """
    words = spoken.split()
    spoken_ends = align_words(words, phones)
    ends: list[float] = []
    position = 0
    for token in written.split():
        for part in re.sub(r"[^\w']", " ", token.lower()).split():
            length = _spoken_length(part, words[position:])
            if length is None:
                return None
            position += length
        ends.append(spoken_ends[max(position - 1, 0)])
    return ends if position == len(words) else None


def align_words(words: list[str], phones: list[tuple[str, float]]) -> list[float]:
    """Strictly increasing end times of spoken words."""
    expected: list[tuple[int, str]] = []        # index of the word, and phone
    for index, word in enumerate(words):
        expected += [(index, phone) for phone in word_phones(word)]
    actual = [(phone, end) for phone, end in phones if phone != PAUSE]
    cost = np.zeros((len(expected), len(actual)), int)
    for row, (_, phone) in zip(cost, expected, strict=True):
        row[:] = [_substitution_cost(phone, other) for other, _ in actual]

    ends = [0.0] * len(words)
    current = expected[0][0] if expected else 0         # the word that a phone belongs to
    for i, j in alignment(cost, GAP):
        if i is not None:
            current = expected[i][0]
        if j is not None:
            ends[current] = max(ends[current], actual[j][1])
    for n in range(1, len(ends)):
        ends[n] = max(ends[n], round(ends[n - 1] + 0.01, 4))
    return ends


def _substitution_cost(phone: str, other: str) -> int:
    if phone == other:
        return 0
    both_vowels = phone[0] in "aeiou" and other[0] in "aeiou"
    return SIMILAR if phone[0] == other[0] or both_vowels else SUBSTITUTION


def _spoken_length(part: str, words: list[str]) -> int | None:
    """How many of the spoken `words` the written word takes; None if they begin with others."""
    for pronunciation in _pronunciations(part):
        if words[:len(pronunciation)] == pronunciation:
            return len(pronunciation)
    return None


def _pronunciations(part: str) -> list[list[str]]:
    """The words that a written word, number or year may be spoken as."""
    if not part.isdigit():
        return [[part]]
    number = int(part)
    result = []
    if number < 1000:
        result.append(spoken_number(number).split())
    if 1000 < number < 2100:
        result.append(spoken_year(number).split())
    return result
