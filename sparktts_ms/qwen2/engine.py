"""Many sequences at once: each joins when there is room, is read and continued in company, and leaves when it is done.

A step of the engine reads at most one chunk of one prompt and then takes one token for every sequence that is ready, so a
long prompt holds the others up by one chunk a token. What a sequence says depends on its own prompt and seed only.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from sparktts_ms.errors import InputError
from sparktts_ms.qwen2.language_model import PREFILL_CHUNK, LanguageModel, LMHead
from sparktts_ms.qwen2.sampling import Sampling, sample

MIN_PREFILL = 4     # ids that are sooner fed one by one, in company, than read as a chunk


@dataclass(frozen=True)
class GrammarState:
    """`count` tokens out of `allowed` [N]; `count` None: until one of `stops`."""

    allowed: np.ndarray
    count: int | None = 1
    stops: tuple[int, ...] = ()


class Sequence:
    """One sequence on its way: the ids still to be read, and what has been said."""

    def __init__(self, prompt: np.ndarray, grammar: list[GrammarState], sampling: Sampling, head: LMHead, limit: int):
        if len(prompt) >= limit:
            raise InputError(f"Text and prompt make {len(prompt)} tokens; at most {limit - 1} fit. "
                             "Split the text (--text_file takes a sentence a line) or use a shorter prompt.")
        self.head, self.sampling, self.generator = head, sampling, sampling.generator()
        self.token_budget = min(sampling.max_new_tokens, limit - len(prompt))
        self.pending = [int(token) for token in prompt]
        self.cached = 0                       # ids in the cache
        self.tokens: list[int] = []         # new ids
        self.slot = -1
        self.finished = False
        self._states, self._done = deque(grammar), 0
        self._start_state()

    @property
    def rows(self) -> np.ndarray:
        """Rows of the head that may come next, ascending."""
        return self._unending if len(self.tokens) < self.sampling.min_new_tokens else self._rows

    def take(self, scores, place: int) -> None:
        """Choose the next token; `place` is this sequence's in the step."""
        rows, logits = scores.of(place, self.rows, self.sampling.top_k)
        self._append(int(self.head.ids[rows[sample(logits, self.sampling, self.generator)]]))

    def _append(self, token: int) -> None:
        phase = self._states[0]
        self.tokens.append(token)
        self.pending.append(token)
        self._done += 1
        self.finished = token in phase.stops or len(self.tokens) == self.token_budget
        if not self.finished and self._done == phase.count:
            self._states.popleft()
            self._start_state()

    def _start_state(self) -> None:
        """Begin the first of the phases left; what has only one outcome is said at once."""
        self._done = 0
        if not self._states:
            self.finished = True
            return
        phase = self._states[0]
        if phase.count == 1 and len(phase.allowed) == 1 and not phase.stops:
            self._append(int(phase.allowed[0]))
            return
        self._rows = np.sort(self.head.row_of[phase.allowed])
        self._unending = np.sort(self.head.row_of[phase.allowed[~np.isin(phase.allowed, phase.stops)]])


class Engine:
    """Continuous batching over one language model. Not for several threads at once."""

    def __init__(self, model: LanguageModel):
        self.model = model
        self.waiting: deque[Sequence] = deque()
        self.active: list[Sequence] = []
        self._free = list(range(model.slots))

    def add(self, prompt: np.ndarray, grammar: list[GrammarState], sampling: Sampling, head: LMHead) -> Sequence:
        """Ask for a sequence; its `tokens` grow from the next step on. Raises InputError for a prompt that is too long."""
        sequence = Sequence(prompt, grammar, sampling, head, self.model.limit)
        if not sequence.finished:
            self.waiting.append(sequence)
        return sequence

    def cancel(self, sequence: Sequence) -> None:
        """Take a sequence out, whatever its state; the others do not notice."""
        sequence.finished = True
        if sequence in self.waiting:
            self.waiting.remove(sequence)
        self._remove_finished()

    def step(self) -> bool:
        """One step for everybody; False if there is nothing to do."""
        while self.waiting and self._free:
            sequence = self.waiting.popleft()
            sequence.slot = self._free.pop(0)
            self.active.append(sequence)
        self._prefill_chunk()
        ready = [sequence for sequence in self.active if len(sequence.pending) <= MIN_PREFILL]
        for head in dict.fromkeys(sequence.head for sequence in ready):
            self._decode_step(head, [sequence for sequence in ready if sequence.head is head])
        self._remove_finished()
        return bool(self.active or self.waiting)

    def _prefill_chunk(self) -> None:
        """A chunk of the oldest prompt that is not read yet; its last id is left to the first step."""
        sequence = next((s for s in self.active if len(s.pending) > MIN_PREFILL), None)
        if sequence is None:
            return
        ids = sequence.pending[:min(PREFILL_CHUNK, len(sequence.pending) - 1)]
        self.model.prefill(sequence.slot, np.array(ids), sequence.cached)
        del sequence.pending[:len(ids)]
        sequence.cached += len(ids)

    def _decode_step(self, head: LMHead, sequences: list[Sequence]) -> None:
        # A sequence that has more than one id to read gets no token yet; its range is empty.
        ranges = [(s.rows[0], s.rows[-1] + 1) if len(s.pending) == 1 else (0, 0) for s in sequences]
        scores = head.decode_step(np.array([s.pending[0] for s in sequences]), np.array([s.cached for s in sequences]),
                           np.array([s.slot for s in sequences]), np.array(ranges))
        for place, sequence in enumerate(sequences):
            del sequence.pending[0]
            sequence.cached += 1
            if not sequence.pending:
                sequence.take(scores, place)

    def _remove_finished(self) -> None:
        for sequence in [s for s in self.active if s.finished]:
            self.active.remove(sequence)
            self._free.append(sequence.slot)
        self._free.sort()
