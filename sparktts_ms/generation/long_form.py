"""A request while it is generated: its segments run a few at a time and come out in order.

    segments -> utterances in one voice -> samples, with pauses between segments
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from sparktts_ms.bicodec.chunking import WINDOW_SIZES
from sparktts_ms.generation.generator import Generator
from sparktts_ms.generation.request import Chunks, SpeechRequest
from sparktts_ms.generation.segments import Segments
from sparktts_ms.generation.utterance import Pace, Utterance
from sparktts_ms.text.syllables import count_syllables
from sparktts_ms.voice import Speech

logger = logging.getLogger("sparktts_ms")

MAX_PARALLEL_SEGMENTS = 4       # more would take the engine's slots from other requests
MAX_PARALLEL_ALONE = 8          # while there are none
# Of the segments with which a stream begins, at least. The others start one by one, after its
# second chunk and each further one, for every sequence delays the next chunk.
FIRST_SYLLABLES = 12
MAX_ATTEMPTS = 5                # to generate a segment that comes out silent or far too short
NO_SAMPLES = np.zeros(0, np.float32)


class LongFormGeneration:
    """One request: iterate over `run`, or for many on one engine, `poll` after each of its steps.

    is_long: its text has so many segments that it gives way to short ones in the engine; not where
    `gives_way` is False, because nobody waits for those.
    chunks: how samples are chunked while ids are generated; None: a segment is decoded when all of
    its ids are there, in windows of `window_sizes` frames. pace: of the chunks.
    """

    def __init__(self, request: SpeechRequest, segments: Segments, generator: Generator,
                 chunks: Chunks | None = None, gives_way: bool = True):
        self.request = request
        self.segments = segments
        self.generator = generator
        self.chunks = chunks
        self.window_sizes: tuple[int, ...] = WINDOW_SIZES
        self.pace = Pace()
        is_long = not segments.complete or len(segments.ready) > MAX_PARALLEL_SEGMENTS
        self.is_long = is_long and gives_way
        self._utterances = [self._start(0)]
        self._num_chunks = 0            # returned
        self._emitted = 0               # segments whose samples have all been returned
        self._samples: Iterator[np.ndarray | None] | None = None    # of the segment after those

    @property
    def seconds(self) -> float:
        """Seconds of speech generated so far, as ids."""
        return sum(utterance.seconds for utterance in self._utterances)

    @property
    def started(self) -> bool:
        """Whether the engine has begun with it."""
        return self._utterances[0].sequence.steps > 0

    @property
    def usage(self) -> tuple[int, int]:
        """Tokens so far: of the prompts, and generated."""
        sequences = [utterance.sequence for utterance in self._utterances]
        generated = sum(len(sequence.tokens) for sequence in sequences)
        total = sum(sequence.num_cached + len(sequence.uncached) for sequence in sequences)
        return total - generated, generated

    @property
    def done(self) -> bool:
        """Whether `poll` has returned all samples."""
        return self.segments.complete and self._emitted == len(self.segments.ready)

    def run(self, progress: Callable[[float], None] | None = None) -> Iterator[np.ndarray]:
        """Drive the engine until the request is done; yields samples [N] float32 as they come.

        progress: called with `seconds` after each step. Leaving early cancels the request.
        Raises NoSpeech if the model generates nothing audible.
        """
        try:
            while True:
                samples = self.poll()
                if samples is not None:
                    yield samples
                elif self.done:
                    return
                else:
                    self.generator.engine.step()
                    if progress is not None:
                        progress(self.seconds)
        finally:
            self.cancel()

    def poll(self) -> np.ndarray | None:
        """Start the segments that can start, then decode the next chunk or window. Returns its
        samples; None if the engine has to step first, or if all is `done`. Raises what went wrong
        with a segment."""
        for utterance in self._utterances[self._emitted:]:
            if utterance.sequence.error is not None:
                raise utterance.sequence.error
        self._restart_silent_segments()
        self._start_segments()
        while self._emitted < len(self._utterances):
            utterance = self._utterances[self._emitted]
            if self.chunks is None and not utterance.finished:
                return None
            if self._samples is None:
                self._samples = utterance.decode(self.chunks, self.window_sizes,
                                                 self.generator.sample_rate, self.pace,
                                                 early=self._emitted == 0)
            samples = next(self._samples, NO_SAMPLES)
            if samples is not NO_SAMPLES:
                self._num_chunks += samples is not None
                return samples
            if utterance.is_left_out:
                logger.warning("No speech for %r; it is left out.", utterance.segment.text)
            elif utterance.is_silent:
                logger.warning("The speech for %r breaks off.", utterance.segment.text)
            self._emitted += 1
            self._samples = None
        return None

    def speech(self, chunks: list[np.ndarray]) -> Speech:
        """All chunks as one Speech, once the request is done; without samples for no chunks."""
        spoken = [utterance for utterance in self._utterances if not utterance.is_left_out]
        complete = [utterance.complete and not utterance.is_silent for utterance in spoken]
        tokens = [np.array(utterance.sequence.tokens, np.int32) for utterance in spoken]
        return Speech(
            samples=np.concatenate([NO_SAMPLES, *chunks]),
            sample_rate=self.generator.sample_rate,
            semantic_ids=np.concatenate([utterance.semantic_ids for utterance in spoken]),
            global_ids=spoken[0].global_ids,
            generated_ids=np.concatenate(tokens),
            complete=all(complete) and len(complete) == len(self.segments.ready))

    def cancel(self) -> None:
        """Take all sequences out of the engine; does nothing to those that are finished."""
        for utterance in self._utterances:
            self.generator.engine.cancel(utterance.sequence)

    def _restart_silent_segments(self) -> None:
        for index in range(self._emitted, len(self._utterances)):
            self._utterances[index].stop_silence(self.generator.engine)
            while self._can_retry(self._utterances[index]):
                attempt = self._utterances[index].attempt + 1
                self._utterances[index] = self._start(index, attempt)
                self._samples = None if index == self._emitted else self._samples

    def _can_retry(self, utterance: Utterance) -> bool:
        """Whether an utterance came out silent or too short, and another seed may help."""
        if utterance.attempt + 1 >= MAX_ATTEMPTS or not self.request.sampling.temperature:
            return False
        return utterance.is_silent and not utterance.is_partly_decoded

    def _start_segments(self) -> None:
        count = len(self._utterances)
        self.segments.prepare(count + 2 * MAX_PARALLEL_SEGMENTS)
        running = sum(not utterance.finished for utterance in self._utterances)
        while (self._may_start(running) and count < len(self.segments.ready)
               and self._utterances[0].has_voice):
            self._utterances.append(self._start(count))
            running += 1
            count += 1

    def _may_start(self, running: int) -> bool:
        """Whether one more segment may run, beside so many."""
        alone = self.generator.engine.num_sequences == running
        if running >= (MAX_PARALLEL_ALONE if alone else MAX_PARALLEL_SEGMENTS):
            return False
        if self.chunks is None or running < self._num_chunks:
            return True
        syllables = sum(count_syllables(utterance.segment.text) for utterance in self._utterances)
        return syllables < FIRST_SYLLABLES

    def _start(self, index: int, attempt: int = 0) -> Utterance:
        """Start a segment with a seed of its own, in the voice of the first one. A further attempt
        cannot end before there is speech: a model that has begun to speak goes on by itself."""
        sampling = self.request.sampling
        if attempt and count_syllables(self.segments.ready[index].text):
            least = max(sampling.min_new_tokens, self._utterances[index].min_frames)
            sampling = replace(sampling, min_new_tokens=min(least, sampling.max_new_tokens))
        if sampling.seed is not None:
            sampling = replace(sampling, seed=sampling.seed + index + 1_000_003 * attempt)
        first = self._utterances[0] if index else None
        utterance = self.generator.start(self.segments.ready[index], self.request, sampling, first,
                                         attempt)
        utterance.sequence.background = self.is_long
        return utterance
