"""Gender, pitch and speed as labels and values. Source: arXiv 2503.01710; SPEC 10, 16."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparktts_ms.errors import InputError, quoted
from sparktts_ms.text.syllables import CHINESE

GENDERS = ("female", "male")
LEVELS = ("very_low", "low", "moderate", "high", "very_high")

# Values between two neighbouring levels: median f0 in Hz, syllables per second.
PITCH_THRESHOLDS = {"male": (95.6, 109.1, 144.2, 173.5), "female": (154.2, 179.7, 224.3, 257.1)}
SPEED_THRESHOLDS = {"en": (2.553, 3.306, 4.720, 5.464), "zh": (2.677, 3.540, 5.166, 6.072)}
PITCH_RANGE = (40, 600)     # Hz
SPEED_RANGE = (0.5, 10)     # syllables per second


@dataclass(frozen=True)
class Style:
    """Attributes of the speech to generate.

    gender: one of GENDERS; None for a recorded voice, whose pitch and speed must be levels.
    pitch: one of LEVELS, or the median f0 in Hz.
    speed: one of LEVELS, or syllables per second.
    Raises InputError for an unknown name or a value out of range.
    """

    gender: str | None
    pitch: str | float = "moderate"
    speed: str | float = "moderate"

    def __post_init__(self):
        if self.gender not in (*GENDERS, None):
            raise InputError(f"gender is {quoted(self.gender)}; it must be one of "
                             f"{', '.join(GENDERS)}.")
        self._check("pitch", self.pitch, PITCH_RANGE, "Hz")
        self._check("speed", self.speed, SPEED_RANGE, "syllables per second")

    @property
    def pitch_level(self) -> int:
        """Index into LEVELS, 0 to 4."""
        if isinstance(self.pitch, str):
            return LEVELS.index(self.pitch)
        return pitch_label(self.pitch, str(self.gender))

    def speed_level(self, text: str) -> int:
        """Index into LEVELS, 0 to 4. A rate in syllables is judged in the language of `text`."""
        if isinstance(self.speed, str):
            return LEVELS.index(self.speed)
        return speed_label(self.speed, text)

    def _check(self, name: str, value: str | float, limits: tuple[float, float], unit: str) -> None:
        levels = ", ".join(LEVELS)
        low, high = limits
        if isinstance(value, str):
            if value not in LEVELS:
                raise InputError(f"{name} is {quoted(value)}; it must be one of {levels}, or "
                                 f"{unit}.")
        elif not low <= value <= high:
            raise InputError(f"{name} is {quoted(value)} {unit}; it must lie in {low}..{high}.")
        elif self.gender is None:
            raise InputError(f"{name} is {value}, but only a generated voice, of a gender, takes "
                             "numbers.", f"Use one of {levels}.", code="number_needs_gender")


@dataclass(frozen=True)
class VoiceDescription:
    """A voice to generate: its attributes (see Style), and the seed that draws its ids.

    Raises InputError for an unknown name or a value out of range.
    """

    gender: str
    pitch: str | float = "moderate"
    speed: str | float = "moderate"
    seed: int = 0

    def __post_init__(self):
        if self.gender not in GENDERS:
            raise InputError(f"gender is {quoted(self.gender)}; it must be one of "
                             f"{', '.join(GENDERS)}.")
        Style(self.gender, self.pitch, self.speed)
        if type(self.seed) is not int or self.seed < 0:
            raise InputError(f"seed is {quoted(self.seed)}; it must be a whole number, 0 or more.")

    @property
    def style(self) -> Style:
        return Style(self.gender, self.pitch, self.speed)


def pitch_label(hertz: float, gender: str) -> int:
    """Index into LEVELS of a median f0, among voices of that gender."""
    return int(np.searchsorted(PITCH_THRESHOLDS[gender], hertz, side="right"))


def speed_label(rate: float, text: str) -> int:
    """Index into LEVELS of a rate in syllables per second, in the main language of `text`."""
    language = "zh" if len(CHINESE.findall(text)) > len(text) / 4 else "en"
    return int(np.searchsorted(SPEED_THRESHOLDS[language], rate, side="right"))


def pitch_value(hertz: float) -> int:
    """A median f0 on the mel scale, 0 to 1000."""
    return int(np.clip(2595 * math.log10(1 + hertz / 700), 0, 1000))


def speed_value(rate: float) -> int:
    """Whole syllables per second, 0 to 10."""
    return int(np.clip(rate, 0, 10))
