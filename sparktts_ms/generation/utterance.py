"""One segment of a request while it is generated: ids from the engine, samples from the codec."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from sparktts_ms.bicodec.codec import BiCodec
from sparktts_ms.errors import NoSpeech
from sparktts_ms.generation.request import Chunks
from sparktts_ms.generation.vocabulary import TOKENS_PER_SECOND, Vocabulary
from sparktts_ms.qwen2.engine import Engine, Sequence
from sparktts_ms.text.split import Segment
from sparktts_ms.text.syllables import count_syllables
from sparktts_ms.voice import Voice

MAX_SILENT_FRAMES = 100         # with the same id, after which generation is stopped
TRIMMED_SILENT_FRAMES = 10      # what is left of them
MIN_FRAMES = 6                  # of an utterance, 0.12 s
FRAMES_PER_SYLLABLE = 1.6       # 31 syllables a second, twice as fast as anybody speaks
RETRY_FRAMES = 3                # more than `min_frames`, before which a further attempt cannot end
PAUSE_LEVEL = 0.01              # of full scale; quieter samples at the end are part of the pause


@dataclass
class Pace:
    """How large the chunks of a stream are; changed while it runs by who serves several.

    sizes: a chunk has the largest of these for which enough frames are known; None: as Chunks says.
    first, least: of which a request's first chunk has exactly `first` frames, each other one at
    least `least`.
    scheduled: frames of the next chunk as Chunks says, in whichever segment; 0 before the first.
    """

    sizes: tuple[int, ...] | None = None
    first: int = 0
    least: int = 0
    scheduled: int = 0

    def size(self, available: int, first: bool) -> int:
        """Frames of the next chunk, of those that are `available`; 0 to wait for more. first:
        whether it is the request's first."""
        assert self.sizes is not None
        if first:
            return self.first if available >= self.first else 0
        return max((size for size in self.sizes if self.least <= size <= available), default=0)


@dataclass(eq=False)
class Utterance:
    """A segment, its sequence in the engine, and what has been decoded of it.

    voice: None if the model generates one. optional: left out if silent. attempt: counts from 0.
    """

    segment: Segment
    sequence: Sequence
    voice: Voice | None
    vocabulary: Vocabulary
    codec: BiCodec
    optional: bool = False
    attempt: int = 0
    _decoded: int = 0           # frames decoded as chunks
    _consumed: int = 0          # tokens sorted into semantic and global ids
    _semantic_ids: list[int] = field(default_factory=list)
    _global_ids: list[int] = field(default_factory=list)
    _repeats: int = 0           # equal semantic ids at the end
    _stopped: bool = False      # by stop_silence

    @property
    def finished(self) -> bool:
        """Whether all ids have been generated."""
        return self.sequence.finished

    @property
    def seconds(self) -> float:
        """Seconds of speech generated so far."""
        self._consume_tokens()
        return len(self._semantic_ids) / TOKENS_PER_SECOND

    @property
    def complete(self) -> bool:
        """Whether the model ended the utterance itself."""
        stops = [self.vocabulary.end, self.vocabulary.end_semantic_token]
        return any(token in stops for token in self.sequence.tokens[-1:])

    @property
    def is_silent(self) -> bool:
        """Whether the utterance has ended, or was stopped in silence, with hardly any speech: none,
        or less than anybody needs to say its text. What max_new_tokens cut off is not silent."""
        self._consume_tokens()
        if not self.finished or not (self._stopped or self.complete):
            return False
        frames = len(self._semantic_ids) - (TRIMMED_SILENT_FRAMES if self._stopped else 0)
        return frames < self.min_frames + (RETRY_FRAMES if self.attempt else 0)

    @cached_property
    def min_frames(self) -> int:
        """Frames that the text takes at least, however fast it is said."""
        return max(MIN_FRAMES, int(FRAMES_PER_SYLLABLE * count_syllables(self.segment.text)))

    @property
    def is_left_out(self) -> bool:
        """Whether the utterance is silent and the others can do without it."""
        return self.optional and self.is_silent and not self.is_partly_decoded

    @property
    def is_partly_decoded(self) -> bool:
        """Whether samples of it have been returned as chunks."""
        return self._decoded > 0

    @property
    def voice_prefix(self) -> list[int]:
        """The ids before speech, with which the voice was generated; empty until all are there."""
        tokens = self.sequence.tokens
        end = self.vocabulary.end_global_token
        return tokens[:tokens.index(end) + 1] if end in tokens else []

    @property
    def has_voice(self) -> bool:
        """Whether the voice is known."""
        self._consume_tokens()
        generated = len(self._global_ids) == self.codec.config.speaker_encoder.token_num
        return self.voice is not None or (generated and bool(self.voice_prefix))

    @property
    def global_ids(self) -> np.ndarray:
        """The voice's ids [32]. Raises NoSpeech if the model generated another number."""
        if self.voice is not None:
            return self.voice.global_ids
        self._consume_tokens()
        count = self.codec.config.speaker_encoder.token_num
        if len(self._global_ids) != count:
            raise NoSpeech(
                f"The model's voice has {len(self._global_ids)} tokens instead of {count}.",
                "Try another seed, more max_new_tokens, or constrained sampling.",
                code="incomplete_voice")
        return np.array(self._global_ids, np.int32)

    @property
    def semantic_ids(self) -> np.ndarray:
        """The ids of speech [T], 50 a second. Raises NoSpeech if the utterance ended with none, or
        with too few for its text; not if others follow, and samples of it have been returned."""
        self._consume_tokens()
        is_broken_off = self.is_silent and not (self.optional and self.is_partly_decoded)
        if is_broken_off or not self._semantic_ids:
            raise self._no_speech()
        return np.array(self._semantic_ids, np.int32)

    def _no_speech(self) -> NoSpeech:
        problem = "The model ended before it spoke."
        if self._semantic_ids:
            problem = f"The model ended after {self.seconds:.2f} s, too soon for its text."
        if self.voice is not None and self.voice.transcript is not None:
            return NoSpeech(
                problem, "Is the transcript exactly what the recording says? Correct it or leave "
                "it out; or try another seed.", code="no_speech_continued")
        return NoSpeech(
            problem, "Try another seed, a longer text, more max_new_tokens, or min_new_tokens.",
            code="no_speech")

    def stop_silence(self, engine: Engine) -> None:
        """Stop an utterance that repeats one frame, a known failure, and trim the repeats."""
        self._consume_tokens()
        if self._repeats < MAX_SILENT_FRAMES or self.finished:
            return
        engine.cancel(self.sequence)
        self._stopped = True
        trimmed = len(self._semantic_ids) - self._repeats + TRIMMED_SILENT_FRAMES
        del self._semantic_ids[max(self._decoded, trimmed):]

    def decode(self, chunks: Chunks | None, window_sizes: tuple[int, ...], sample_rate: int,
               pace: Pace | None = None, early: bool = True) -> Iterator[np.ndarray | None]:
        """Samples [N] float32 of the segment and the pause after it; None while ids are missing.

        chunks: None decodes a finished utterance in windows of `window_sizes` frames. early: its
        first chunk is the request's first.
        """
        silent = 0                  # samples at the end
        pieces = (self._windows(window_sizes) if chunks is None
                  else self._chunks(chunks, pace or Pace(), early))
        for samples in pieces:
            if samples is not None:
                silent = trailing_silence(samples, silent)
            yield samples
        pause = int(self.segment.pause * sample_rate) - silent
        if pause > 0:
            yield np.zeros(pause, np.float32)

    def _windows(self, sizes: tuple[int, ...]) -> Iterator[np.ndarray]:
        if not self.is_left_out:
            hidden = self.codec.condition_frames(self.global_ids, self.semantic_ids)
            yield from self.codec.vocode_windows(hidden, sizes)

    def _chunks(self, chunks: Chunks, pace: Pace, early: bool) -> Iterator[np.ndarray | None]:
        lookahead = int(chunks.first_lookahead or 0) if early else chunks.lookahead
        faded_out = np.zeros(0, np.float32)     # what would have followed the last chunk
        while not self.is_left_out:
            self._consume_tokens()
            first = self._decoded
            known = len(self._semantic_ids)
            available = known - first
            size = pace.scheduled = pace.scheduled or chunks.first
            if self.finished:
                size = min(chunks.maximum, available)
                if size == 0 and first > 0:
                    return
            else:
                available -= lookahead
                if pace.sizes is not None:
                    size = pace.size(available, early and not first)
                elif available >= size:         # not more, or timing would change samples
                    known = first + size + lookahead
                if not 0 < size <= available:
                    yield None
                    continue
            last = first + size
            end = min(known, last + 1) if lookahead < chunks.lookahead else last
            self._decoded = last
            samples = self.codec.decode_frames(self.global_ids, self.semantic_ids[:known], first,
                                               end, None if self.finished else lookahead)
            begin = len(samples) * size // (end - first) if size else 0
            yield cross_fade(faded_out, samples[:begin])
            faded_out = samples[begin:]
            pace.scheduled = chunks.next_size(pace.scheduled)
            lookahead = chunks.lookahead

    def _consume_tokens(self) -> None:
        """Sort new tokens into semantic and global ids."""
        tokens = self.sequence.tokens[self._consumed:]
        if not tokens:
            return
        self._consumed += len(tokens)
        self._global_ids.extend(self.vocabulary.bicodec_global.values(tokens))
        for semantic_id in self.vocabulary.bicodec_semantic.values(tokens):
            repeated = self._semantic_ids[-1:] == [semantic_id]
            self._repeats = self._repeats + 1 if repeated else 1
            self._semantic_ids.append(int(semantic_id))


def trailing_silence(samples: np.ndarray, before: int) -> int:
    """Quiet samples at the end of `samples` [N], which follow `before` quiet ones."""
    loud = np.flatnonzero(np.abs(samples) > PAUSE_LEVEL)
    return len(samples) - 1 - int(loud[-1]) if len(loud) else before + len(samples)


def cross_fade(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """`after` [N], which `before` [M] fades into; M may be 0."""
    length = min(len(before), len(after))
    if not length:
        return after
    weight = np.sin(np.linspace(0, np.pi / 2, length, dtype=np.float32)) ** 2
    return np.concatenate([before[:length] + weight * (after[:length] - before[:length]),
                           after[length:]])
