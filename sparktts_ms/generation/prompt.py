"""A prompt is a list of ids: text encoded as one string between marks, voice and style as token ids.

Source: upstream `cli/SparkTTS.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sparktts_ms.errors import InputError
from sparktts_ms.generation.attributes import LEVELS, pitch_label, speed_label
from sparktts_ms.generation.vocabulary import Vocabulary

GENDERS = ("female", "male")
HERTZ, RATES = (40, 600), (0.5, 10)


@dataclass(frozen=True)
class Style:
    """How to speak. pitch: one of LEVELS, or the median f0 in Hz; speed: one of LEVELS, or syllables per second. gender is None
    for a recorded voice, which obeys levels only. Raises InputError for names that do not exist and numbers that nobody
    speaks at."""

    gender: str | None
    pitch: str | float = "moderate"
    speed: str | float = "moderate"

    def __post_init__(self):
        if self.gender not in (*GENDERS, None):
            raise InputError(f"gender is {self.gender!r}; it must be one of {', '.join(GENDERS)}.")
        for name, value, (least, most), unit in (("pitch", self.pitch, HERTZ, "Hz"),
                                                 ("speed", self.speed, RATES, "syllables per second")):
            if isinstance(value, str):
                if value not in LEVELS:
                    raise InputError(f"{name} is {value!r}; it must be one of {', '.join(LEVELS)}, or a number of {unit}.")
            elif not least <= value <= most:
                raise InputError(f"{name} is {value} {unit}; it must lie in {least}..{most}.")
            elif self.gender is None:
                raise InputError(f"{name} is {value}; a recorded voice obeys {', '.join(LEVELS)}, a number needs a gender.")

    @property
    def pitch_level(self) -> int:
        """0 to 4."""
        return LEVELS.index(self.pitch) if isinstance(self.pitch, str) else pitch_label(self.pitch, str(self.gender))

    def speed_level(self, text: str) -> int:
        """0 to 4; where speed is a number, the same one is faster in one language than in another."""
        return LEVELS.index(self.speed) if isinstance(self.speed, str) else speed_label(self.speed, text)


def clone_prompt(vocabulary: Vocabulary, text: str, global_ids: Iterable[int], transcript: str | None = None,
                 semantic_ids: Iterable[int] = (), style: Style | None = None) -> np.ndarray:
    """Ids that ask for `text` in the voice of 32 `global_ids`. With the recording's transcript and semantic ids the model
    continues the recording; transcript and text are encoded together, since merges cross the join. With a `style` the voice is
    asked for its pitch and speed."""
    v = vocabulary
    ids = [v.task_tts, v.start_content, *v.encode(join(transcript or "", text)), v.end_content]
    if style is not None:
        ids += [v.start_style_label, v.pitch_label[style.pitch_level], v.speed_label[style.speed_level(text)], v.end_style_label]
    ids += [v.start_global_token, *(v.bicodec_global[g] for g in global_ids), v.end_global_token]
    if transcript is not None:
        ids += [v.start_semantic_token, *(v.bicodec_semantic[s] for s in semantic_ids)]
    return np.array(ids, np.int64)


def style_prompt(vocabulary: Vocabulary, text: str, style: Style, opening: Iterable[int] = ()) -> np.ndarray:
    """Ids that ask for `text` in a voice made from gender, pitch and speed; with the `opening` that an utterance before had, in
    that one's voice."""
    v = vocabulary
    return np.array([
        v.task_controllable_tts, v.start_content, *v.encode(text), v.end_content, v.start_style_label,
        v.gender[GENDERS.index(style.gender)], v.pitch_label[style.pitch_level], v.speed_label[style.speed_level(text)],
        v.end_style_label, *opening], np.int64)


def join(transcript: str, text: str) -> str:
    """Transcript and text as one string. Two words of a script that separates words get the space that upstream forgets."""
    words_meet = transcript[-1:].isalnum() and text[:1].isalnum() and not (_is_cjk(transcript[-1]) or _is_cjk(text[0]))
    return f"{transcript} {text}" if words_meet else transcript + text


def _is_cjk(character: str) -> bool:
    """Han, kana and their punctuation; Hangul separates words."""
    code = ord(character)
    return 0x2E80 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or 0x20000 <= code <= 0x3FFFF
