"""A text of any length while it is read aloud: its parts are made side by side, a few at a time, and heard one after another.

    parts -> utterances in one voice -> samples, and pauses between them
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from sparktts_ms.generation.request import Chunks
from sparktts_ms.generation.utterance import Utterance
from sparktts_ms.qwen2.engine import Engine
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.text.split import Segment
from sparktts_ms.voice import Speech

logger = logging.getLogger("sparktts_ms")

AHEAD = 4           # parts in the making at once; more would keep other readers from the engine's places
ATTEMPTS = 3        # at a part in which nothing is said
SILENT = 0.01       # of full scale: what stays below it at a part's end counts as its pause


@dataclass
class SegmentState:
    """A part and what became of it; `attempt` counts from 0."""

    part: Segment
    utterance: Utterance
    attempt: int = 0


class LongFormRequest:
    """`begin` asks for a part: its text, how to sample it, and the first part once that has a voice, which the others keep.
    Whoever drives the engine calls `proceed` before each step, and then `chunk` if samples are wanted as they are made."""

    def __init__(self, parts: list[Segment], sampling: Sampling, engine: Engine, sample_rate: int,
                 begin: Callable[[str, Sampling, Utterance | None], Utterance]):
        self.parts, self.sampling, self.engine, self.sample_rate, self._begin = parts, sampling, engine, sample_rate, begin
        self._spoken = [SegmentState(parts[0], begin(parts[0].text, sampling, None))]
        self._heard = 0                                         # parts that were handed out whole
        self._quiet = 0                                         # silent samples at the end of what was handed out
        self._windows: Iterator[np.ndarray] | None = None       # of the part that is handed out, if it is decoded at once

    @property
    def seconds(self) -> float:
        """Of speech so far."""
        return sum(one.utterance.seconds for one in self._spoken)

    def proceed(self) -> bool:
        """Begin what may begin by now; True once all ids are there."""
        for n, one in enumerate(self._spoken[self._heard:], self._heard):
            one.utterance.end_silence(self.engine)
            if one.utterance.mute and one.attempt + 1 < ATTEMPTS and self.sampling.temperature:
                self._speak_again(n)
        first = self._spoken[0].utterance
        making = sum(not one.utterance.finished for one in self._spoken)
        while len(self._spoken) < len(self.parts) and making < AHEAD and first.has_voice:
            part = self.parts[len(self._spoken)]
            self._spoken.append(SegmentState(part, self._begin(part.text, self._luck(len(self._spoken)), first)))
            making += 1
        return not making and (len(self._spoken) == len(self.parts) or not first.has_voice)

    def chunk(self, chunks: Chunks | None = None, **sizes) -> np.ndarray | None:
        """The next samples, float32; None while too little is known, and when there are no more. Without `chunks` a part is
        decoded at once when it is complete, in windows of `sizes`. Raises NoSpeech."""
        while self._heard < len(self._spoken):
            one = self._spoken[self._heard]
            samples = self._samples(one.utterance, chunks, sizes)
            if samples is not None:
                loud = np.flatnonzero(np.abs(samples) > SILENT)
                self._quiet = len(samples) - 1 - int(loud[-1]) if len(loud) else self._quiet + len(samples)
                return samples
            if not one.utterance.finished:
                return None
            self._heard, self._windows = self._heard + 1, None
            pause = int(one.part.pause * self.sample_rate) - self._quiet
            self._quiet = 0
            if pause > 0:
                return np.zeros(pause, np.float32)
        return None

    def speech(self) -> Speech:
        """All of it, once all ids are there. Raises NoSpeech if nothing can be heard."""
        pieces = []
        while (samples := self.chunk()) is not None:
            pieces.append(samples)
        return self.as_speech(pieces)

    def as_speech(self, pieces: list[np.ndarray]) -> Speech:
        """All samples, with what they were made from."""
        spoken = [one.utterance.as_speech(np.zeros(0)) for one in self._spoken if not self._left_out(one.utterance)]
        return Speech(np.concatenate(pieces), self.sample_rate, np.concatenate([s.semantic_ids for s in spoken]),
                      spoken[0].global_ids, np.concatenate([s.generated_ids for s in spoken]),
                      len(spoken) == len(self.parts) and all(s.complete for s in spoken))

    def cancel(self) -> None:
        """Take all of it out of the engine; does nothing to what is done."""
        for one in self._spoken:
            self.engine.cancel(one.utterance.sequence)

    def _samples(self, utterance: Utterance, chunks: Chunks | None, sizes: dict) -> np.ndarray | None:
        if utterance.finished and self._left_out(utterance):
            logger.warning("Nothing was said for %r; it is left out.", self._spoken[self._heard].part.text)
            return None
        if chunks is not None:
            return utterance.chunk(chunks)
        if not utterance.finished:
            return None
        if self._windows is None:
            self._windows = utterance.pieces(**sizes)
        return next(self._windows, None)

    def _left_out(self, utterance: Utterance) -> bool:
        """Whether a part is passed over for the sake of the others; of a single one, or the first, it is an error."""
        return utterance.mute and utterance is not self._spoken[0].utterance

    def _speak_again(self, n: int) -> None:
        one = self._spoken[n]
        self._spoken[n] = SegmentState(one.part, self._begin(one.part.text, self._luck(n, one.attempt + 1),
                                                       self._spoken[0].utterance if n else None), one.attempt + 1)

    def _luck(self, n: int, attempt: int = 0) -> Sampling:
        seed = self.sampling.seed
        return self.sampling if seed is None else replace(self.sampling, seed=seed + n + 1_000_003 * attempt)
