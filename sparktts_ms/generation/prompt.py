"""Prompts as token ids: text between marks, voice and style. Source: upstream `cli/SparkTTS.py`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sparktts_ms.generation.attributes import GENDERS, Style
from sparktts_ms.generation.vocabulary import Vocabulary


def clone_prompt(
    vocabulary: Vocabulary,
    text: str,
    global_ids: Iterable[int],
    transcript: str | None = None,
    semantic_ids: Iterable[int] = (),
    style: Style | None = None,
) -> np.ndarray:
    """Prompt ids [N] for `text` in the voice of 32 `global_ids`.

    With the recording's transcript and semantic ids, the model continues the recording; transcript
    and text are encoded as one string, because tokens merge across the join. `style` adds labels
    of pitch and speed.
    """
    v = vocabulary
    ids = [v.task_tts, v.start_content]
    ids += [*v.encode(join_transcript(transcript or "", text)), v.end_content]
    if style is not None:
        ids += [v.start_style_label, *_levels(v, text, style), v.end_style_label]
    ids += [v.start_global_token, *(v.bicodec_global[n] for n in global_ids), v.end_global_token]
    if transcript is not None:
        ids += [v.start_semantic_token, *(v.bicodec_semantic[n] for n in semantic_ids)]
    return np.array(ids, np.int64)


def style_prompt(
    vocabulary: Vocabulary, text: str, style: Style, voice_prefix: Iterable[int] = ()
) -> np.ndarray:
    """Prompt ids [N] for `text` in a voice generated from gender, pitch and speed.

    voice_prefix: the ids with which an earlier utterance began, to continue in its voice.
    """
    v = vocabulary
    ids = [v.task_controllable_tts, v.start_content, *v.encode(text), v.end_content]
    ids += [v.start_style_label, v.gender[GENDERS.index(str(style.gender))]]
    ids += [*_levels(v, text, style), v.end_style_label, *voice_prefix]
    return np.array(ids, np.int64)


def join_transcript(transcript: str, text: str) -> str:
    """Transcript and text as one string, with a space between two words of a script that has them
    (upstream leaves it out)."""
    two_words = transcript[-1:].isalnum() and text[:1].isalnum()
    if two_words and not (_is_cjk(transcript[-1]) or _is_cjk(text[0])):
        return f"{transcript} {text}"
    return transcript + text


def _levels(v: Vocabulary, text: str, style: Style) -> list[int]:
    return [v.pitch_label[style.pitch_level], v.speed_label[style.speed_level(text)]]


def _is_cjk(character: str) -> bool:
    """Han, kana and their punctuation; Hangul separates words by spaces."""
    code = ord(character)
    return 0x2E80 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or 0x20000 <= code <= 0x3FFFF
