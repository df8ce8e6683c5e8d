"""A prompt is a list of ids: text encoded as one string between marks, voice and style as token ids.

Source: upstream `cli/SparkTTS.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sparktts_ms.errors import InputError
from sparktts_ms.vocabulary import Vocabulary

GENDERS = ("female", "male")
LEVELS = ("very_low", "low", "moderate", "high", "very_high")


@dataclass(frozen=True)
class Style:
    """A voice to be made up. Raises InputError for names that do not exist."""

    gender: str
    pitch: str = "moderate"
    speed: str = "moderate"

    def __post_init__(self):
        for name, value, allowed in (("gender", self.gender, GENDERS), ("pitch", self.pitch, LEVELS),
                                     ("speed", self.speed, LEVELS)):
            if value not in allowed:
                raise InputError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")


def check_text(text: str) -> str:
    """The text without surrounding white space; InputError if nothing is left."""
    text = text.strip()
    if not text:
        raise InputError("There is no text to speak; give at least one word (--text).")
    return text


def clone_prompt(vocabulary: Vocabulary, text: str, global_ids: Iterable[int], transcript: str | None = None,
                 semantic_ids: Iterable[int] = ()) -> np.ndarray:
    """Ids that ask for `text` in the voice of 32 `global_ids`. With the recording's transcript and semantic ids the model
    continues the recording; transcript and text are encoded together, since merges cross the join."""
    v = vocabulary
    ids = [v.task_tts, v.start_content, *v.encode(join(transcript or "", text)), v.end_content,
           v.start_global_token, *(v.bicodec_global[g] for g in global_ids), v.end_global_token]
    if transcript is not None:
        ids += [v.start_semantic_token, *(v.bicodec_semantic[s] for s in semantic_ids)]
    return np.array(ids, np.int64)


def style_prompt(vocabulary: Vocabulary, text: str, style: Style) -> np.ndarray:
    """Ids that ask for `text` in a voice made from gender, pitch and speed."""
    v = vocabulary
    return np.array([
        v.task_controllable_tts, v.start_content, *v.encode(text), v.end_content, v.start_style_label,
        v.gender[GENDERS.index(style.gender)], v.pitch_label[LEVELS.index(style.pitch)],
        v.speed_label[LEVELS.index(style.speed)], v.end_style_label], np.int64)


def join(transcript: str, text: str) -> str:
    """Transcript and text as one string. Two words of a script that separates words get the space that upstream forgets."""
    words_meet = transcript[-1:].isalnum() and text[:1].isalnum() and not (_is_cjk(transcript[-1]) or _is_cjk(text[0]))
    return f"{transcript} {text}" if words_meet else transcript + text


def _is_cjk(character: str) -> bool:
    """Han, kana and their punctuation; Hangul separates words."""
    code = ord(character)
    return 0x2E80 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or 0x20000 <= code <= 0x3FFFF
