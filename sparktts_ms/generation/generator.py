"""From a segment of text to a sequence in the engine: prompt ids, grammar and LM head."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sparktts_ms.bicodec.codec import BiCodec
from sparktts_ms.errors import VoiceError
from sparktts_ms.generation.attributes import Style
from sparktts_ms.generation.grammar import (
    clone_grammar,
    style_grammar,
    unconstrained_grammar,
    voice_grammar,
)
from sparktts_ms.generation.prompt import clone_prompt, style_prompt
from sparktts_ms.generation.request import SpeechRequest
from sparktts_ms.generation.utterance import Utterance
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.qwen2.engine import Engine, GrammarState, Sequence
from sparktts_ms.qwen2.language_model import LanguageModel, LMHead
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.text.split import Segment
from sparktts_ms.voice import Voice, check_ids


class Generator:
    """Starts utterances in the engine, which batches them continuously with all others."""

    def __init__(self, vocabulary: Vocabulary, llm: LanguageModel, codec: BiCodec,
                 sample_rate: int):
        self.vocabulary = vocabulary
        self.engine = Engine(llm)
        self.codec = codec
        self.sample_rate = sample_rate
        self._heads: dict[bool, LMHead] = {}

    def start(self, segment: Segment, request: SpeechRequest, sampling: Sampling,
              first: Utterance | None = None, attempt: int = 0) -> Utterance:
        """Start an utterance, in the voice of the request's `first` one. Raises InputError for a
        prompt that is too long, VoiceError for another model's voice."""
        voice = request.voice
        voice_prefix = first.voice_prefix if first is not None else ()
        prompt, grammar = self.prompt(segment.text, voice, request.style, voice_prefix)
        head = self.head(sampling.constrained)
        if not sampling.constrained:
            grammar = unconstrained_grammar(head.ids, self.vocabulary)
        if voice is None and first is not None:
            voice = Voice(first.global_ids)
        sequence = self.engine.add(prompt, grammar, sampling, head)
        return Utterance(segment, sequence, voice, self.vocabulary, self.codec,
                         optional=first is not None, attempt=attempt)

    def start_voice(self, text: str, style: Style, sampling: Sampling) -> Sequence:
        """Start a sequence that ends when it has generated a voice, which would say `text`. Raises
        InputError for a prompt that is too long."""
        voice_tokens = self.codec.config.speaker_encoder.token_num
        grammar = voice_grammar(self.vocabulary, voice_tokens, style)
        prompt = style_prompt(self.vocabulary, text, style)
        return self.engine.add(prompt, grammar, sampling, self.head(constrained=True))

    def prompt(self, text: str, voice: Voice | None, style: Style | None = None,
               voice_prefix: Iterable[int] = ()) -> tuple[np.ndarray, list[GrammarState]]:
        """Prompt ids [N], and the grammar of what follows. voice_prefix: see `style_prompt`."""
        v = self.vocabulary
        config = self.codec.config
        if voice is not None:
            semantic_ids = voice.semantic_ids if len(voice.semantic_ids) else None
            check_ids(config, voice.global_ids, semantic_ids, VoiceError,
                      "The voice was made with another model; encode it again.")
            prompt = clone_prompt(v, text, voice.global_ids, voice.transcript, voice.semantic_ids,
                                  style)
            return prompt, clone_grammar(v, continues=voice.transcript is not None)
        assert style is not None
        prompt = style_prompt(v, text, style, voice_prefix)
        if voice_prefix:
            return prompt, clone_grammar(v, continues=False)
        return prompt, style_grammar(v, config.speaker_encoder.token_num, style)

    def head(self, constrained: bool) -> LMHead:
        """The LM head over all ids that an utterance may hold, or over the whole vocabulary."""
        if constrained not in self._heads:
            model = self.engine.model
            every = np.arange(model.config.vocab_size)
            ids = self.vocabulary.utterance_ids() if constrained else every
            self._heads[constrained] = model.head(ids)
        return self._heads[constrained]
