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
from sparktts_ms.generation.utterance import Utterance
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.text.split import Segment
from sparktts_ms.voice import Speech

logger = logging.getLogger("sparktts_ms")

MAX_PARALLEL_SEGMENTS = 4       # more would take the engine's slots from other requests
MAX_ATTEMPTS = 3                # to generate a segment that comes out silent
PAUSE_LEVEL = 0.01              # of full scale; quieter samples at a segment's end are part of its pause


class LongFormGeneration:
    """One request. A single caller iterates over `run`; who drives the engine for several requests
    calls `poll` after each of its steps, which does all the rest.

    chunks: how samples are chunked while they are generated; None: a segment is decoded when all
    of its ids are there, in windows of `window_sizes` frames.
    """

    def __init__(self, request: SpeechRequest, segments: list[Segment], generator: Generator,
                 chunks: Chunks | None = None):
        self.request = request
        self.segments = segments
        self.generator = generator
        self.chunks = chunks
        self.window_sizes: tuple[int, ...] = WINDOW_SIZES
        self._utterances = [self._start(0)]
        self._emitted = 0               # segments whose samples have all been returned
        self._silent_samples = 0        # at the end of what has been returned

    @property
    def seconds(self) -> float:
        """Seconds of speech generated so far, as ids."""
        return sum(utterance.seconds for utterance in self._utterances)

    @property
    def done(self) -> bool:
        """Whether `poll` has returned all samples."""
        return self._emitted == len(self._utterances)

    def run(self, progress: Callable[[float], None] | None = None) -> Iterator[np.ndarray]:
        """Drive the engine until the request is done; yields chunks of samples [N] float32.

        progress: called with `seconds` after each step. Leaving early cancels the request.
        Raises NoSpeech.
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
        """Start the segments that can start, then decode the next chunk or window.

        Returns its samples [N] float32; None if the engine has to step first, or if all is `done`.
        Raises NoSpeech if there is nothing to hear.
        """
        self._restart_silent_segments()
        self._start_segments()
        return self._next_samples()

    def speech(self, chunks: list[np.ndarray]) -> Speech:
        """All chunks as one Speech, once the request is done."""
        spoken = [utterance for utterance in self._utterances if not self._is_skipped(utterance)]
        tokens = [np.array(utterance.sequence.tokens, np.int32) for utterance in spoken]
        return Speech(
            samples=np.concatenate(chunks),
            sample_rate=self.generator.sample_rate,
            semantic_ids=np.concatenate([utterance.semantic_ids for utterance in spoken]),
            global_ids=spoken[0].global_ids,
            generated_ids=np.concatenate(tokens),
            complete=len(spoken) == len(self.segments) and all(one.complete for one in spoken),
        )

    def cancel(self) -> None:
        """Take all sequences out of the engine; does nothing to those that are finished."""
        for utterance in self._utterances:
            self.generator.engine.cancel(utterance.sequence)

    def _restart_silent_segments(self) -> None:
        for index in range(self._emitted, len(self._utterances)):
            utterance = self._utterances[index]
            utterance.stop_silence(self.generator.engine)
            retry = utterance.attempt + 1 < MAX_ATTEMPTS and self.request.sampling.temperature > 0
            if retry and utterance.is_silent:
                self._utterances[index] = self._start(index, utterance.attempt + 1)

    def _start_segments(self) -> None:
        running = sum(not utterance.finished for utterance in self._utterances)
        while running < MAX_PARALLEL_SEGMENTS and self._utterances[0].has_voice:
            if len(self._utterances) == len(self.segments):
                return
            self._utterances.append(self._start(len(self._utterances)))
            running += 1

    def _start(self, index: int, attempt: int = 0) -> Utterance:
        """Start a segment, in the voice of the first one."""
        first = self._utterances[0] if index else None
        sampling = self._sampling(index, attempt)
        return self.generator.start(self.segments[index], self.request, sampling, first, attempt)

    def _sampling(self, index: int, attempt: int) -> Sampling:
        """With a seed of its own for each segment and attempt."""
        sampling = self.request.sampling
        if sampling.seed is None:
            return sampling
        return replace(sampling, seed=sampling.seed + index + 1_000_003 * attempt)

    def _next_samples(self) -> np.ndarray | None:
        while not self.done:
            utterance = self._utterances[self._emitted]
            samples = self._decode(utterance)
            if samples is not None:
                self._count_silence(samples)
                return samples
            if not utterance.finished:
                return None
            pause = int(utterance.segment.pause * self.generator.sample_rate) - self._silent_samples
            self._emitted += 1
            self._silent_samples = 0
            if pause > 0:
                return np.zeros(pause, np.float32)
        return None

    def _decode(self, utterance: Utterance) -> np.ndarray | None:
        if utterance.finished and self._is_skipped(utterance):
            logger.warning("No speech was generated for %r; it is left out.", utterance.segment.text)
            return None
        if self.chunks is not None:
            return utterance.next_chunk(self.chunks)
        return utterance.next_window(self.window_sizes) if utterance.finished else None

    def _is_skipped(self, utterance: Utterance) -> bool:
        """Whether a silent segment is left out; in the first one silence is an error."""
        return utterance.is_silent and utterance is not self._utterances[0]

    def _count_silence(self, samples: np.ndarray) -> None:
        loud = np.flatnonzero(np.abs(samples) > PAUSE_LEVEL)
        if len(loud):
            self._silent_samples = len(samples) - 1 - int(loud[-1])
        else:
            self._silent_samples += len(samples)
