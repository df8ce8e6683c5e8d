"""Pitch and speed as the numbers and the five labels of the control prompt. Source: arXiv 2503.01710, SPEC 10 and 16."""

from __future__ import annotations

import math

import numpy as np

from sparktts_ms.text.syllables import CHINESE

LEVELS = ("very_low", "low", "moderate", "high", "very_high")
PITCH = {"male": (95.6, 109.1, 144.2, 173.5), "female": (154.2, 179.7, 224.3, 257.1)}      # median Hz between labels
SPEED = {"en": (2.553, 3.306, 4.720, 5.464), "zh": (2.677, 3.540, 5.166, 6.072)}           # syllables per second


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
