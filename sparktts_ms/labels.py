"""Pitch and speed as the numbers and the five labels of the control prompt. Source: arXiv 2503.01710, SPEC 10 and 16."""

from __future__ import annotations

import math
import re

import numpy as np

LEVELS = ("very_low", "low", "moderate", "high", "very_high")
PITCH = {"male": (95.6, 109.1, 144.2, 173.5), "female": (154.2, 179.7, 224.3, 257.1)}      # median Hz between labels
SPEED = {"en": (2.553, 3.306, 4.720, 5.464), "zh": (2.677, 3.540, 5.166, 6.072)}           # syllables per second
HAN, KANA, HANGUL = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff", "\u3040-\u30ff", "\uac00-\ud7af"
SYLLABIC = HAN + KANA + HANGUL          # a character is a syllable
CHINESE = re.compile(f"[{HAN}]")
CHARACTER = re.compile(f"[{SYLLABIC}]")
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
VOWELS = re.compile(r"[aeiouy]+")
SYLLABLES_PER_DIGIT = 1.5
SILENT = 0.02           # of the peak, below which a recording's ends do not count


def pitch_label(hertz: float, gender: str) -> int:
    """0 (very low) to 4 (very high) for a median f0, among voices of that gender."""
    return int(np.searchsorted(PITCH[gender], hertz, side="right"))


def speed_label(rate: float, text: str) -> int:
    """0 (very low) to 4 (very high) for syllables per second, in the language that most of `text` is in."""
    return int(np.searchsorted(SPEED["zh" if len(CHINESE.findall(text)) > len(text) / 4 else "en"], rate, side="right"))


def pitch_value(hertz: float) -> int:
    """The median f0 on the mel scale, 0 to 1000."""
    return int(np.clip(2595 * math.log10(1 + hertz / 700), 0, 1000))


def speed_value(rate: float) -> int:
    """Whole syllables per second, 0 to 10."""
    return int(np.clip(rate, 0, 10))


def syllables(text: str) -> float:
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


def spoken_seconds(samples: np.ndarray, sample_rate: int = 16000) -> float:
    """How long samples [N] last without the silence before and after."""
    level = np.abs(samples)
    loud = np.flatnonzero(level > SILENT * level.max(initial=0.0))
    return (loud[-1] - loud[0] + 1) / sample_rate if len(loud) else 0.0
