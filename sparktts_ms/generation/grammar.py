"""What may follow what in an utterance. Source: the layout the model was trained on, arXiv 2503.01710."""

from __future__ import annotations

import numpy as np

from sparktts_ms.generation.attributes import pitch_value, speed_value
from sparktts_ms.generation.prompt import Style
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.qwen2.engine import GrammarState


def unconstrained_grammar(ids: np.ndarray, vocabulary: Vocabulary) -> list[GrammarState]:
    """Upstream's way: any of `ids`, until the end."""
    return [GrammarState(ids, None, (vocabulary.end,))]


def clone_grammar(vocabulary: Vocabulary, continues: bool) -> list[GrammarState]:
    """Semantic ids; the mark before them only if the prompt does not hold semantic ids already."""
    return [*(() if continues else (_mark(vocabulary.start_semantic_token),)), _speech(vocabulary)]


def style_grammar(vocabulary: Vocabulary, voice_tokens: int, style: Style) -> list[GrammarState]:
    """Acoustic values (those that the style gives as numbers, else any), exactly `voice_tokens` global ids, then semantic ids."""
    v = vocabulary
    pitches = v.pitch_value.ids() if isinstance(style.pitch, str) else [v.pitch_value[pitch_value(style.pitch)]]
    speeds = v.speed_value.ids() if isinstance(style.speed, str) else [v.speed_value[speed_value(style.speed)]]
    return [
        _mark(v.start_acoustic_token), GrammarState(np.array(pitches)), GrammarState(np.array(speeds)), _mark(v.end_acoustic_token),
        _mark(v.start_global_token), GrammarState(np.array(v.bicodec_global.ids()), voice_tokens), _mark(v.end_global_token),
        _mark(v.start_semantic_token), _speech(v)]


def _mark(token_id: int) -> GrammarState:
    return GrammarState(np.array([token_id]))


def _speech(v: Vocabulary) -> GrammarState:
    """Semantic ids until the end; the closing mark ends speech too, whichever the model prefers."""
    stops = (v.end, v.end_semantic_token)
    return GrammarState(np.array([*v.bicodec_semantic.ids(), *stops]), None, stops)
