"""What a caller asks for: one frozen record, checked once, and how its speech is chunked."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from sparktts_ms.errors import InputError
from sparktts_ms.generation.prompt import Style
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.voice import Voice

logger = logging.getLogger("sparktts_ms")

LOOKAHEAD = 25      # frames; the least that keeps streams within -50 dB (tools/lookahead_curve.py)


@dataclass(frozen=True)
class SpeechRequest:
    """A text to speak, who speaks it, and how it is sampled.

    voice: a recorded voice; else gender ("female", "male") with pitch and speed makes one.
    pitch, speed: "very_low", "low", "moderate", "high", "very_high"; without a `voice` also
    the median pitch in Hz and syllables per second. A recorded voice may be given levels too.
    normalize: write numbers and symbols out as words first.
    split: cut the text into segments of at most about 20 s; False speaks exactly this text as
    one utterance.
    Raises InputError for a request that makes no sense.
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
        object.__setattr__(self, "style", self._style())

    def _style(self) -> Style | None:
        """The attributes to speak with; None: as the recorded voice does."""
        attributes = {"pitch": self.pitch, "speed": self.speed}
        given = {name: value for name, value in attributes.items() if value is not None}
        if self.voice is not None and self.gender:
            raise InputError("Give either a voice to clone or a gender, not both.")
        if self.voice is not None and not given:
            return None
        if self.voice is None and self.gender is None:
            if given:
                raise InputError(
                    "pitch and speed need a voice.", "Add a gender or a voice.", code="style_without_voice"
                )
            raise InputError("No voice was given.", "Give a voice or a gender.", code="no_voice")
        for name in attributes.keys() - given.keys():
            logger.warning("No %s was given; moderate is used.", name)
        return Style(self.gender, **given)


def as_request(text: str | SpeechRequest, voice: Voice | None, options: dict[str, Any]) -> SpeechRequest:
    """A request as it is, or one made of its text and other fields."""
    if isinstance(text, SpeechRequest):
        return text
    return SpeechRequest(text, voice, **options)


def check_text(text: str) -> str:
    """The text without surrounding white space; InputError if nothing is left."""
    text = text.strip()
    if not text:
        raise InputError("There is no text to speak.", "Give at least one word.", code="no_text")
    return text


@dataclass(frozen=True)
class Chunks:
    """How an utterance is cut while it is being made: frames of the first chunk, how much longer each next one is, and the
    longest. lookahead: frames known behind a chunk before it is decoded; the decoder's whole field (67) makes it exact."""

    lookahead: int = LOOKAHEAD
    first: int = 12
    growth: float = 1.5
    longest: int = 100

    def __post_init__(self):
        if not isinstance(self.lookahead, int) or self.lookahead < 0:
            raise InputError(f"lookahead is {self.lookahead}; it must be a whole number of frames, 0 or more.")
        if not 1 <= self.first <= self.longest or not self.growth >= 1:
            raise InputError("A chunk has at least one frame, and none is shorter than the one before.")
