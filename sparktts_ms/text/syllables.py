"""How many syllables a text has: its length in speech, before it is spoken."""

from __future__ import annotations

import math
import re

HAN, KANA, HANGUL = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff", "\u3040-\u30ff", "\uac00-\ud7af"
SYLLABIC = HAN + KANA + HANGUL          # a character is a syllable
CHINESE = re.compile(f"[{HAN}]")
CHARACTER = re.compile(f"[{SYLLABIC}]")
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
VOWELS = re.compile(r"[aeiouy]+")
SYLLABLES_PER_DIGIT = 1.5


def count_syllables(text: str) -> float:
    """How many syllables a text has: one for each Han, kana or Hangul character; for English, groups of vowels without a
    silent e."""
    lower = text.lower()
    return len(CHARACTER.findall(text)) + sum(map(_word, WORD.findall(lower))) \
        + math.ceil(SYLLABLES_PER_DIGIT * sum(c.isdigit() for c in text))


def _word(word: str) -> int:
    word = word.split("'")[0]
    count = len(VOWELS.findall(word))
    if word.endswith("e") and not word.endswith(("le", "ee", "ye")) and count > 1:
        count -= 1
    if word.endswith("es") and count > 1 and not re.search(r"(s|x|z|ch|sh|c|g|i)es$", word):
        count -= 1
    if word.endswith("ed") and count > 1 and word[-3:-2] not in ("t", "d"):
        count -= 1
    return max(1, count)
