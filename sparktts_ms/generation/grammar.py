"""Grammars for constrained decoding: which ids may follow each other in an utterance.

Source: the layout that the model was trained on, arXiv 2503.01710.
"""

from __future__ import annotations

import numpy as np

from sparktts_ms.generation.attributes import Style, pitch_value, speed_value
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.qwen2.engine import GrammarState


def unconstrained_grammar(ids: np.ndarray, vocabulary: Vocabulary) -> list[GrammarState]:
    """Any of `ids` [N] until the end, as upstream."""
    return [GrammarState(ids, None, (vocabulary.end,))]


def clone_grammar(vocabulary: Vocabulary, continues: bool) -> list[GrammarState]:
    """Semantic ids; `continues`: the prompt holds some already, so that no start mark follows."""
    speech = _speech(vocabulary)
    return [speech] if continues else [_token(vocabulary.start_semantic_token), speech]


def voice_grammar(vocabulary: Vocabulary, voice_tokens: int, style: Style) -> list[GrammarState]:
    """Acoustic values, fixed where the style gives a number; `voice_tokens` global ids."""
    v = vocabulary
    pitch = GrammarState(np.array(v.pitch_value.ids()))
    if not isinstance(style.pitch, str):
        pitch = _token(v.pitch_value[pitch_value(style.pitch)])
    speed = GrammarState(np.array(v.speed_value.ids()))
    if not isinstance(style.speed, str):
        speed = _token(v.speed_value[speed_value(style.speed)])
    voice = GrammarState(np.array(v.bicodec_global.ids()), voice_tokens)
    return [
        _token(v.start_acoustic_token), pitch, speed, _token(v.end_acoustic_token),
        _token(v.start_global_token), voice,
    ]


def style_grammar(vocabulary: Vocabulary, voice_tokens: int, style: Style) -> list[GrammarState]:
    """A voice and its speech."""
    v = vocabulary
    return [*voice_grammar(v, voice_tokens, style), _token(v.end_global_token),
            _token(v.start_semantic_token), _speech(v)]


def _token(token_id: int) -> GrammarState:
    return GrammarState(np.array([token_id]))


def _speech(v: Vocabulary) -> GrammarState:
    """Semantic ids until the model ends, with the closing mark or without."""
    stops = (v.end, v.end_semantic_token)
    return GrammarState(np.array([*v.bicodec_semantic.ids(), *stops]), None, stops)
