"""Many sequences at once: each joins when there is room, is read and continued in company, and leaves when it is done.

A step of the engine reads at most one chunk of one prompt and then takes one token for every sequence that is ready, so a
long prompt holds the others up by one chunk a token. What a sequence says depends on its own prompt and seed only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparktts_ms.errors import InputError
from sparktts_ms.qwen2.language_model import CHUNK, Head, LanguageModel
from sparktts_ms.qwen2.sampling import Sampling, choose

FEW = 4     # ids that are sooner fed one by one, in company, than read as a chunk


@dataclass(frozen=True)
class Phase:
    """`count` tokens out of `allowed` [N]; `count` None: until one of `stops`."""

    allowed: np.ndarray
    count: int | None = 1
    stops: tuple[int, ...] = ()


class Stream:
    """One sequence on its way: the ids still to be read, and what has been said."""

    def __init__(self, prompt: np.ndarray, phases: Sequence[Phase], sampling: Sampling, head: Head, limit: int):
        if len(prompt) >= limit:
            raise InputError(f"Text and prompt make {len(prompt)} tokens; at most {limit - 1} fit. "
                             "Split the text (--text_file takes a sentence a line) or use a shorter prompt.")
        self.head, self.sampling, self.generator = head, sampling, sampling.generator()
        self.room = min(sampling.max_new_tokens, limit - len(prompt))
        self.pending = [int(token) for token in prompt]
        self.read = 0                       # ids in the cache
        self.tokens: list[int] = []         # new ids
        self.slot = -1
        self.finished = False
        self._phases, self._done = deque(phases), 0
        self._enter()

    @property
    def rows(self) -> np.ndarray:
        """Rows of the head that may come next, ascending."""
        return self._unending if len(self.tokens) < self.sampling.min_new_tokens else self._rows

    def take(self, scores, place: int) -> None:
        """Choose the next token; `place` is this stream's in the step."""
        rows, logits = scores.of(place, self.rows, self.sampling.top_k)
        self._say(int(self.head.ids[rows[choose(logits, self.sampling, self.generator)]]))

    def _say(self, token: int) -> None:
        phase = self._phases[0]
        self.tokens.append(token)
        self.pending.append(token)
        self._done += 1
        self.finished = token in phase.stops or len(self.tokens) == self.room
        if not self.finished and self._done == phase.count:
            self._phases.popleft()
            self._enter()

    def _enter(self) -> None:
        """Begin the first of the phases left; what has only one outcome is said at once."""
        self._done = 0
        if not self._phases:
            self.finished = True
            return
        phase = self._phases[0]
        if phase.count == 1 and len(phase.allowed) == 1 and not phase.stops:
            self._say(int(phase.allowed[0]))
            return
        self._rows = np.sort(self.head.row_of[phase.allowed])
        self._unending = np.sort(self.head.row_of[phase.allowed[~np.isin(phase.allowed, phase.stops)]])


class Engine:
    """Continuous batching over one language model. Not for several threads at once."""

    def __init__(self, model: LanguageModel):
        self.model = model
        self.waiting: deque[Stream] = deque()
        self.active: list[Stream] = []
        self._free = list(range(model.slots))

    def add(self, prompt: np.ndarray, phases: Sequence[Phase], sampling: Sampling, head: Head) -> Stream:
        """Ask for a sequence; its `tokens` grow from the next step on. Raises InputError for a prompt that is too long."""
        stream = Stream(prompt, phases, sampling, head, self.model.limit)
        if not stream.finished:
            self.waiting.append(stream)
        return stream

    def cancel(self, stream: Stream) -> None:
        """Take a sequence out, whatever its state; the others do not notice."""
        stream.finished = True
        if stream in self.waiting:
            self.waiting.remove(stream)
        self._dismiss()

    def step(self) -> bool:
        """One step for everybody; False if there is nothing to do."""
        while self.waiting and self._free:
            stream = self.waiting.popleft()
            stream.slot = self._free.pop(0)
            self.active.append(stream)
        self._read_chunk()
        ready = [stream for stream in self.active if len(stream.pending) <= FEW]
        for head in dict.fromkeys(stream.head for stream in ready):
            self._speak(head, [stream for stream in ready if stream.head is head])
        self._dismiss()
        return bool(self.active or self.waiting)

    def _read_chunk(self) -> None:
        """A chunk of the oldest prompt that is not read yet; its last id is left to the first step."""
        stream = next((s for s in self.active if len(s.pending) > FEW), None)
        if stream is None:
            return
        ids = stream.pending[:min(CHUNK, len(stream.pending) - 1)]
        self.model.read(stream.slot, np.array(ids), stream.read)
        del stream.pending[:len(ids)]
        stream.read += len(ids)

    def _speak(self, head: Head, streams: list[Stream]) -> None:
        # A stream that has more than one id to read gets no token yet; its range is empty.
        ranges = [(s.rows[0], s.rows[-1] + 1) if len(s.pending) == 1 else (0, 0) for s in streams]
        scores = head.step(np.array([s.pending[0] for s in streams]), np.array([s.read for s in streams]),
                           np.array([s.slot for s in streams]), np.array(ranges))
        for place, stream in enumerate(streams):
            del stream.pending[0]
            stream.read += 1
            if not stream.pending:
                stream.take(scores, place)

    def _dismiss(self) -> None:
        for stream in [s for s in self.active if s.finished]:
            self.active.remove(stream)
            self._free.append(stream.slot)
        self._free.sort()
