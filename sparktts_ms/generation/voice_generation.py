"""Voices from descriptions, many in one batch: each sequence ends when its global ids are there."""

from __future__ import annotations

from collections.abc import Iterable

from sparktts_ms.generation.attributes import VoiceDescription
from sparktts_ms.generation.generator import Generator
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.voice import Voice

VOICE_TEXT = "Welcome. What would you like to hear today?"     # that the voices would say


class VoiceGeneration:
    """The sequences of some voices in the engine, which has to step until all are `done`.

    A voice has the ids that `SparkTTS.synthesize` gives an utterance of the same text, attributes
    and seed. Raises InputError for a text that is too long.
    """

    def __init__(self, descriptions: Iterable[VoiceDescription], generator: Generator,
                 text: str = VOICE_TEXT):
        self._generator = generator
        self._sequences = []
        for description in descriptions:
            sampling = Sampling(seed=description.seed)
            self._sequences.append(generator.start_voice(text, description.style, sampling))

    @property
    def done(self) -> bool:
        """Whether all voices are there. Raises what went wrong with one of them."""
        for sequence in self._sequences:
            if sequence.error is not None:
                raise sequence.error
        return all(sequence.finished for sequence in self._sequences)

    @property
    def voices(self) -> list[Voice]:
        """The voices in the order of their descriptions, once they are done."""
        family = self._generator.vocabulary.bicodec_global
        return [Voice(family.values(sequence.tokens)) for sequence in self._sequences]

    def cancel(self) -> None:
        """Take all sequences out of the engine."""
        for sequence in self._sequences:
            self._generator.engine.cancel(sequence)
