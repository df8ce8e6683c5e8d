"""An utterance that was asked for, while it is being made: ids come from the engine, samples are decoded as they can be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sparktts_ms.bicodec.codec import BiCodec
from sparktts_ms.errors import NoSpeech
from sparktts_ms.generation.request import Chunks
from sparktts_ms.generation.vocabulary import TOKENS_PER_SECOND, Vocabulary
from sparktts_ms.qwen2.engine import Engine, Sequence
from sparktts_ms.voice import Speech, Voice

SILENCE = 100           # frames that all sound the same, after which a model has fallen silent
KEPT_SILENCE = 10       # frames of them


class Utterance:
    """One request. `stream` is its place in the engine; whoever drives the engine asks here for what became of it."""

    def __init__(self, sequence: Sequence, voice: Voice | None, vocabulary: Vocabulary, codec: BiCodec, sample_rate: int):
        self.sequence, self.voice, self.vocabulary, self.codec = sequence, voice, vocabulary, codec
        self.sample_rate = sample_rate
        self.decoded = 0                # frames handed out as chunks
        self._looked = 0                # tokens sorted into their families so far
        self._semantic_ids: list[int] = []
        self._global_ids: list[int] = []
        self._same = 0                  # semantic ids at the end that are all the same
        self._silenced = False

    @property
    def finished(self) -> bool:
        """Whether all ids are there."""
        return self.sequence.finished

    @property
    def seconds(self) -> float:
        """Of speech so far."""
        self._look()
        return len(self._semantic_ids) / TOKENS_PER_SECOND

    @property
    def mute(self) -> bool:
        """Whether the model ended, or fell silent, before it spoke."""
        self._look()
        ended = self._silenced or bool(self.sequence.tokens and self._ended())
        return self.finished and ended and len(self._semantic_ids) <= KEPT_SILENCE * self._silenced

    @property
    def opening(self) -> list[int]:
        """What the model said before speech itself, once that is whole: the voice it made up. Empty before."""
        tokens, end = self.sequence.tokens, self.vocabulary.end_global_token
        return tokens[:tokens.index(end) + 1] if end in tokens else []

    @property
    def has_voice(self) -> bool:
        """Whether it is known by now who speaks."""
        self._look()
        return self.voice is not None or (len(self._global_ids) == self.codec.config.speaker_encoder.token_num
                                          and bool(self.opening))

    @property
    def generated_voice(self) -> Voice:
        """Who speaks, once `has_voice`."""
        return Voice(self._checked_voice())

    def end_silence(self, engine: Engine) -> None:
        """End an utterance that says nothing any more (a known failure: a minute of silence), and drop most of that."""
        self._look()
        if self._same < SILENCE or self.finished:
            return
        engine.cancel(self.sequence)
        self._silenced = True
        del self._semantic_ids[max(self.decoded, len(self._semantic_ids) - self._same + KEPT_SILENCE):]

    def speech(self) -> Speech:
        """All of it, decoded at once. Raises NoSpeech if the model said nothing that can be heard."""
        return self.as_speech(np.concatenate(list(self.pieces())))

    def pieces(self, **sizes) -> Iterator[np.ndarray]:
        """The samples of a finished utterance, decoded at once but handed out window by window."""
        global_ids, semantic_ids = self._checked()
        yield from self.codec.vocode_windows(self.codec.condition_frames(global_ids, semantic_ids), **sizes)

    def as_speech(self, samples: np.ndarray) -> Speech:
        """`samples` with what they were made from."""
        global_ids, semantic_ids = self._checked()
        return Speech(samples, self.sample_rate, semantic_ids, global_ids, np.array(self.sequence.tokens, np.int32), self._ended())

    def _ended(self) -> bool:
        return self.sequence.tokens[-1] in (self.vocabulary.end, self.vocabulary.end_semantic_token)

    def chunk(self, chunks: Chunks) -> np.ndarray | None:
        """The next samples, float32, or None while too little is known (or, once finished, when there are no more)."""
        _, semantic_ids = self._ids()
        if self.finished:
            last = min(self.decoded + chunks.longest, len(semantic_ids))
            if last == self.decoded > 0:
                return None
        else:
            last = self.decoded + self._size(chunks)
            if last + chunks.lookahead > len(semantic_ids):
                return None
            semantic_ids = semantic_ids[:last + chunks.lookahead]       # however much more is known by now
        global_ids, _ = self._checked()
        first, self.decoded = self.decoded, last
        return self.codec.decode_frames(global_ids, semantic_ids, first, last)

    def _size(self, chunks: Chunks) -> int:
        """Frames of the next chunk, by how many were handed out before it."""
        size, decoded = chunks.first, 0
        while decoded < self.decoded:
            decoded, size = decoded + size, min(chunks.longest, int(size * chunks.growth + 0.5))
        return size

    def _look(self) -> None:
        """Take note of the tokens that came since the last time."""
        v, tokens = self.vocabulary, self.sequence.tokens
        if self._looked == len(tokens):
            return
        for semantic_id in v.bicodec_semantic.values(tokens[self._looked:]).tolist():
            self._same = self._same + 1 if self._semantic_ids and semantic_id == self._semantic_ids[-1] else 1
            self._semantic_ids.append(semantic_id)
        self._global_ids.extend(v.bicodec_global.values(tokens[self._looked:]))
        self._looked = len(tokens)

    def _ids(self) -> tuple[np.ndarray, np.ndarray]:
        self._look()
        global_ids = np.array(self._global_ids, np.int32) if self.voice is None else self.voice.global_ids
        return global_ids, np.array(self._semantic_ids, np.int32)

    def _checked(self) -> tuple[np.ndarray, np.ndarray]:
        global_ids, semantic_ids = self._checked_voice(), self._ids()[1]
        if not len(semantic_ids):
            raise NoSpeech("The model ended before it spoke. Try another seed, a longer text, more max_new_tokens, "
                           "or min_new_tokens.")
        return global_ids, semantic_ids

    def _checked_voice(self) -> np.ndarray:
        global_ids, voice_tokens = self._ids()[0], self.codec.config.speaker_encoder.token_num
        if len(global_ids) != voice_tokens:
            raise NoSpeech(f"The model made a voice of {len(global_ids)} tokens instead of {voice_tokens}; "
                           "try another seed, more max_new_tokens, or constrained sampling.")
        return global_ids
