"""The number of syllables of a text: an estimate of how long it takes to say."""

import math
import re

# Ranges of characters, for use inside the brackets of a regular expression.
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
KANA = "\u3040-\u30ff"
HANGUL = "\uac00-\ud7af"
CJK = HAN + KANA
SYLLABIC = HAN + KANA + HANGUL          # a character is a syllable

CHINESE = re.compile(f"[{HAN}]")
SYLLABIC_CHARACTER = re.compile(f"[{SYLLABIC}]")
ENGLISH_WORD = re.compile(r"([a-z]+)(?:'[a-z]+)?")
VOWELS = re.compile(r"[aeiouy]+")
SYLLABLES_PER_DIGIT = 1.5


def count_syllables(text: str) -> float:
    """One for each Han, kana or Hangul character, the groups of vowels of English words, and about
    1.5 for each digit; 0 if there are none of these."""
    characters = len(SYLLABIC_CHARACTER.findall(text))
    words = sum(_count_english(word) for word in ENGLISH_WORD.findall(text.lower()))
    digits = sum(character.isdigit() for character in text)
    return characters + words + math.ceil(SYLLABLES_PER_DIGIT * digits)


def _count_english(word: str) -> int:
    """Groups of vowels, without a silent e; `word` is in lower case."""
    count = len(VOWELS.findall(word))
    if word.endswith("e") and not word.endswith(("le", "ee", "ye")) and count > 1:
        count -= 1
    if word.endswith("es") and count > 1 and not re.search(r"(s|x|z|ch|sh|c|g|i)es$", word):
        count -= 1
    if word.endswith("ed") and count > 1 and word[-3:-2] not in ("t", "d"):
        count -= 1
    return max(1, count)
