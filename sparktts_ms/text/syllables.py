"""The number of syllables of a text: an estimate of how long it takes to say."""

import math
import re
from itertools import accumulate

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
SYLLABLES_PER_CHARACTER = 0.2           # of scripts in which syllables cannot be counted
MAX_CHARACTERS = 20                     # for each syllable, marks and spaces included
MAX_WORD_LETTERS = 12                   # for each syllable; longer ones are no words
LATIN_END = "\u024f"


def count_syllables(text: str) -> float:
    """One for each Han, kana or Hangul character, the groups of vowels of English words, and about
    1.5 for each digit; 0 if there are none of these."""
    characters = len(SYLLABIC_CHARACTER.findall(text))
    words = sum(_count_english(word) for word in ENGLISH_WORD.findall(text.lower()))
    digits = sum(character.isdigit() for character in text)
    return characters + words + math.ceil(SYLLABLES_PER_DIGIT * digits)


class SyllableCounts:
    """Estimates of syllables for all parts of a text, each in a time that its length does not
    change; only a part that cuts an English word in two is counted by itself.

    A digit counts as in `count_syllables`. Other scripts have one syllable for five characters.
    """

    def __init__(self, text: str):
        self.text = text
        lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
        words = list(ENGLISH_WORD.finditer(lower))
        syllabic = {match.start() for match in SYLLABIC_CHARACTER.finditer(text)}
        self._whole = _sums(len(text), dict.fromkeys(syllabic, 1.0) | {
            word.start(): float(_count_english(word[1])) for word in words})
        self._digits = _sums(len(text), dict.fromkeys(
            (n for n, c in enumerate(text) if c.isdigit()), 1.0))
        self._others = _sums(len(text), dict.fromkeys(
            (n for n, c in enumerate(text) if c > LATIN_END and c.isalpha() and n not in syllabic),
            SYLLABLES_PER_CHARACTER))
        self._inside_word = bytearray(len(text) + 1)
        for word in words:
            count = word.end() - word.start() - 1
            self._inside_word[word.start() + 1:word.end()] = b"\1" * count

    def estimate(self, begin: int, end: int) -> float:
        """Syllables of text[begin:end]; never fewer than one for MAX_CHARACTERS characters."""
        if self._inside_word[begin] or self._inside_word[end]:
            part = SyllableCounts(self.text[begin:end])
            return part.estimate(0, end - begin)
        digits = math.ceil(SYLLABLES_PER_DIGIT * (self._digits[end] - self._digits[begin]))
        counted = self._whole[end] - self._whole[begin] + digits
        if not counted:
            return SYLLABLES_PER_CHARACTER * (end - begin)
        return max(counted + self._others[end] - self._others[begin],
                   (end - begin) / MAX_CHARACTERS)


def _sums(length: int, values: dict[int, float]) -> list[float]:
    """[length + 1]: the sum of the values at positions below each."""
    return list(accumulate((values.get(n, 0.0) for n in range(length)), initial=0.0))


def _count_english(word: str) -> int:
    """Groups of vowels, without a silent e; `word` is in lower case."""
    count = len(VOWELS.findall(word))
    if word.endswith("e") and not word.endswith(("le", "ee", "ye")) and count > 1:
        count -= 1
    if word.endswith("es") and count > 1 and not re.search(r"(s|x|z|ch|sh|c|g|i)es$", word):
        count -= 1
    if word.endswith("ed") and count > 1 and word[-3:-2] not in ("t", "d"):
        count -= 1
    return max(1, count, len(word) // MAX_WORD_LETTERS)
