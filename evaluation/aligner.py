"""When each word of a reading ends: the teacher says which phones it spoke and when, and how it speaks each word alone."""

from __future__ import annotations

import re
import subprocess
from functools import cache

import numpy as np

from evaluation.alignment import alignment
from evaluation.sentences import spoken_number, spoken_year

PAUSE = "pau"
OTHER, ALIKE, GAP = 11, 6, 10   # the price of one phone said for another, for one that begins as it does, and of leaving one out


@cache
def word_phones(word: str) -> tuple[str, ...]:
    """The phones of a word that is said alone."""
    said = subprocess.run(["flite", "-voice", "kal16", "-ps", "-t", word, "-o", "none"], check=True, capture_output=True,
                          text=True)
    return tuple(phone for phone in said.stdout.split() if phone != PAUSE)


def word_ends(written: str, spoken: str, phones: list[tuple[str, float]]) -> list[float] | None:
    """Seconds at which the words of `written` end, given the words that were `spoken` and the phones with their ends. None if
    the two texts do not say the same."""
    words, ends = spoken.split(), []
    at = 0
    said = spoken_ends(words, phones)
    for token in written.split():
        for part in re.sub(r"[^\w']", " ", token.lower()).split():
            taken = next((n for n in _readings(part) if words[at:at + len(n)] == n), None)
            if taken is None:
                return None
            at += len(taken)
        ends.append(said[max(at - 1, 0)])
    return ends if at == len(words) else None


def spoken_ends(words: list[str], phones: list[tuple[str, float]]) -> list[float]:
    """The rising ends of spoken words: the cheapest way to lay their phones along those that were said."""
    expected = [(n, phone) for n, word in enumerate(words) for phone in word_phones(word)]
    said = [(phone, end) for phone, end in phones if phone != PAUSE]
    price = np.array([[_distance(phone, other) for other, _ in said] for _, phone in expected]).reshape(len(expected), len(said))
    ends, owner = [0.0] * len(words), expected[0][0] if expected else 0
    for i, j in alignment(price, GAP):
        owner = owner if i is None else expected[i][0]
        if j is not None:
            ends[owner] = max(ends[owner], said[j][1])
    for n in range(1, len(ends)):
        ends[n] = max(ends[n], round(ends[n - 1] + 0.01, 4))
    return ends


def _distance(phone: str, other: str) -> int:
    vowels = phone[0] in "aeiou" and other[0] in "aeiou"
    return 0 if phone == other else ALIKE if phone[0] == other[0] or vowels else OTHER


def _readings(part: str) -> list[list[str]]:
    """How a written word may have been spoken."""
    if not part.isdigit():
        return [[part]]
    number = int(part)
    return [said.split() for said in ([spoken_number(number)] if number < 1000 else []) +
            ([spoken_year(number)] if 1000 < number < 2100 else [])]
