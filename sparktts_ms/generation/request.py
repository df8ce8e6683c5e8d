"""What a caller asks for, checked when it is made, and how the audio is chunked."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from sparktts_ms.errors import InputError
from sparktts_ms.generation.attributes import Style
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.voice import Voice

logger = logging.getLogger("sparktts_ms")

LOOKAHEAD = 32          # frames; of the demo model's decoder -78 dB, where 25 leave -25 dB
FIRST_LOOKAHEAD = 8


@dataclass(frozen=True)
class SpeechRequest:
    """A text, the voice to speak it with, and how it is sampled.

    voice: a recorded voice; without one, `gender` ("female", "male") generates a voice.
    pitch, speed: "very_low", "low", "moderate", "high" or "very_high"; for a generated voice also
    the median pitch in Hz and the syllables per second. None: as recorded, or moderate.
    normalize: write numbers and symbols out as words first.
    split: cut the text into segments of at most about 20 s; False generates exactly this text as
    one utterance.
    Raises InputError (see `resolve_style`, `check_text`).
    """

    text: str
    voice: Voice | None = None
    gender: str | None = None
    pitch: str | float | None = None
    speed: str | float | None = None
    sampling: Sampling = Sampling()
    normalize: bool = True
    split: bool = True
    style: Style | None = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "text", check_text(self.text))
        style = resolve_style(self.voice is not None, self.gender, self.pitch, self.speed)
        object.__setattr__(self, "style", style)

    def log_defaults(self) -> None:
        """Log which attributes of the style nobody gave."""
        for name in ("pitch", "speed"):
            if self.style is not None and getattr(self, name) is None:
                logger.warning("No %s was given; moderate is used.", name)


def resolve_style(
    has_voice: bool, gender: str | None, pitch: str | float | None, speed: str | float | None
) -> Style | None:
    """The attributes to generate with; None: as the recorded voice has them.

    Raises InputError for both a voice and a gender (code "voice_and_gender"), attributes without
    either ("style_without_voice"), nothing at all ("no_voice"), and values that `Style` refuses.
    """
    if has_voice and gender:
        raise InputError("Both a voice and a gender were given.", "Give one of them.",
                         code="voice_and_gender")
    if pitch is None and speed is None:
        if has_voice:
            return None
        if gender is None:
            raise InputError("No voice was given.", "Give a voice or a gender.", code="no_voice")
    elif not has_voice and gender is None:
        raise InputError("pitch and speed need a voice.", "Add a voice or a gender.",
                         code="style_without_voice")
    levels = {"pitch": pitch, "speed": speed}
    return Style(gender, **{name: value for name, value in levels.items() if value is not None})


def as_request(text: str | SpeechRequest, voice: Voice | None,
               options: dict[str, Any]) -> SpeechRequest:
    """A request as it is, or one made of its text, voice and other fields."""
    if isinstance(text, SpeechRequest):
        return text
    return SpeechRequest(text, voice, **options)


def check_text(text: str) -> str:
    """The text without surrounding white space. Raises InputError ("no_text") if it is empty."""
    text = text.strip()
    if not text:
        raise InputError("There is no text to speak.", "Give at least one word.", code="no_text")
    return text


@dataclass(frozen=True)
class Chunks:
    """Sizes of streamed chunks, in frames of 20 ms.

    lookahead: frames that must be known after a chunk before it is decoded. The default keeps all
    but the first chunk within -50 dB (tools/lookahead_curve.py); the decoder's receptive field is
    exact.
    first: size of the first chunk; each next one is `growth` times as large, up to `maximum`.
    first_lookahead: for the first chunk; where it is smaller than `lookahead`, the second chunk
    begins with a cross-fade of a frame. None: FIRST_LOOKAHEAD with the default `lookahead`, so that
    the first sound comes early, else `lookahead`.
    Raises InputError for values out of range.
    """

    lookahead: int = LOOKAHEAD
    first: int = 8
    growth: float = 1.5
    maximum: int = 100
    first_lookahead: int | None = None

    def __post_init__(self):
        if not isinstance(self.lookahead, int) or self.lookahead < 0:
            raise InputError(f"lookahead is {self.lookahead}; it must be a number of frames.")
        if not 1 <= self.first <= self.maximum or not self.growth >= 1:
            raise InputError("Chunks need 1 <= first <= maximum and growth >= 1.")
        if self.first_lookahead is None:
            first = FIRST_LOOKAHEAD if self.lookahead == LOOKAHEAD else self.lookahead
            object.__setattr__(self, "first_lookahead", first)
        elif not 0 <= self.first_lookahead <= self.lookahead:
            raise InputError(f"first_lookahead is {self.first_lookahead}; it must lie in "
                             f"0..{self.lookahead}, the lookahead.")

    def next_size(self, size: int) -> int:
        """The size of the chunk after one of `size` frames."""
        return min(self.maximum, int(size * self.growth + 0.5))
