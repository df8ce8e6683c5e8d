"""Continuous batching of sequences over one language model.

A step prefills at most one chunk of one prompt (chunked prefill) and then runs one decode step for
all sequences that are ready, so a long prompt delays the others by one prefill chunk a token. With
the CPU kernels decoding is batch-invariant: a sequence's tokens depend on its own prompt and seed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from sparktts_ms.errors import InputError
from sparktts_ms.qwen2.language_model import LanguageModel, LMHead, StepLogits
from sparktts_ms.qwen2.sampling import Sampling, sample

MIN_PREFILL = 4     # uncached ids up to this number are fed by decode steps, not as a prefill chunk


@dataclass(frozen=True)
class GrammarState:
    """One state of constrained decoding: `count` tokens out of the ids `allowed` [N].

    With `count` None the state lasts until one of the ids `stops`, which ends the sequence.
    """

    allowed: np.ndarray
    count: int | None = 1
    stops: tuple[int, ...] = ()


class Sequence:
    """One sequence: its prompt, its slot in the KV cache, and the tokens generated so far.

    Raises InputError for a prompt that leaves no room below `max_length` positions.
    """

    def __init__(self, prompt: np.ndarray, grammar: list[GrammarState], sampling: Sampling,
                 head: LMHead, max_length: int):
        if len(prompt) >= max_length:
            raise InputError(
                f"Text and prompt make {len(prompt)} tokens; at most {max_length - 1} fit.",
                "Split the text or use a shorter prompt.", code="prompt_too_long")
        self.head = head
        self.sampling = sampling
        self.generator = sampling.generator()
        self.max_tokens = min(sampling.max_new_tokens, max_length - len(prompt))
        self.uncached = [int(token) for token in prompt]    # ids that are not in the KV cache yet
        self.num_cached = 0
        self.tokens: list[int] = []                         # generated ids
        self.slot = -1                                      # in the KV cache, while active
        self.finished = False
        self._states = deque(grammar)
        self._state_tokens = 0                              # generated in the current state
        self._start_state()

    @property
    def allowed_rows(self) -> np.ndarray:
        """Rows of the LM head whose tokens are allowed next, ascending."""
        if len(self.tokens) < self.sampling.min_new_tokens:
            return self._rows_without_stops
        return self._rows

    def append_sampled(self, logits: StepLogits, index: int) -> None:
        """Sample the next token; `index` is this sequence's in the decode step."""
        rows, values = logits.candidates(index, self.allowed_rows, self.sampling.top_k)
        row = rows[sample(values, self.sampling, self.generator)]
        self._append(int(self.head.ids[row]))

    def _append(self, token: int) -> None:
        state = self._states[0]
        self.tokens.append(token)
        self.uncached.append(token)
        self._state_tokens += 1
        self.finished = token in state.stops or len(self.tokens) == self.max_tokens
        if not self.finished and self._state_tokens == state.count:
            self._states.popleft()
            self._start_state()

    def _start_state(self) -> None:
        """Enter the next state; a single token that it prescribes is appended without sampling."""
        self._state_tokens = 0
        if not self._states:
            self.finished = True
            return
        state = self._states[0]
        if state.count == 1 and len(state.allowed) == 1 and not state.stops:
            self._append(int(state.allowed[0]))
            return
        self._rows = np.sort(self.head.token_to_row[state.allowed])
        without_stops = state.allowed[~np.isin(state.allowed, state.stops)]
        self._rows_without_stops = np.sort(self.head.token_to_row[without_stops])


class Engine:
    """Schedules sequences and runs them as one batch. Not thread-safe."""

    def __init__(self, model: LanguageModel):
        self.model = model
        self.waiting: deque[Sequence] = deque()
        self.active: list[Sequence] = []
        self._free_slots = list(range(model.num_slots))

    def add(self, prompt: np.ndarray, grammar: list[GrammarState], sampling: Sampling,
            head: LMHead) -> Sequence:
        """Queue a sequence; its `tokens` grow with the steps. Raises InputError, see Sequence."""
        sequence = Sequence(prompt, grammar, sampling, head, self.model.max_length)
        if not sequence.finished:
            self.waiting.append(sequence)
        return sequence

    def cancel(self, sequence: Sequence) -> None:
        """Remove a sequence, waiting, active or finished, and free its slot."""
        sequence.finished = True
        if sequence in self.waiting:
            self.waiting.remove(sequence)
        self._remove_finished()

    def step(self) -> bool:
        """One prefill chunk and one decode step; False if no sequence is left."""
        while self.waiting and self._free_slots:
            sequence = self.waiting.popleft()
            sequence.slot = self._free_slots.pop(0)
            self.active.append(sequence)
        self._prefill_chunk()
        ready = [sequence for sequence in self.active if len(sequence.uncached) <= MIN_PREFILL]
        for head in dict.fromkeys(sequence.head for sequence in ready):
            self._decode_step(head, [sequence for sequence in ready if sequence.head is head])
        self._remove_finished()
        return bool(self.active or self.waiting)

    def _prefill_chunk(self) -> None:
        """Prefill a chunk of the oldest prompt that needs it, without the prompt's last id."""
        sequence = next((s for s in self.active if len(s.uncached) > MIN_PREFILL), None)
        if sequence is None:
            return
        ids = sequence.uncached[:min(self.model.prefill_chunk, len(sequence.uncached) - 1)]
        self.model.prefill(sequence.slot, np.array(ids), sequence.num_cached)
        del sequence.uncached[:len(ids)]
        sequence.num_cached += len(ids)

    def _decode_step(self, head: LMHead, sequences: list[Sequence]) -> None:
        # Only the logits after a sequence's last uncached id are needed; other ranges are empty.
        ranges = []
        for sequence in sequences:
            rows = sequence.allowed_rows
            ranges.append((rows[0], rows[-1] + 1) if len(sequence.uncached) == 1 else (0, 0))
        logits = head.decode_step(np.array([s.uncached[0] for s in sequences]),
                                  np.array([s.num_cached for s in sequences]),
                                  np.array([s.slot for s in sequences]), np.array(ranges))
        for index, sequence in enumerate(sequences):
            del sequence.uncached[0]
            sequence.num_cached += 1
            if not sequence.uncached:
                sequence.append_sampled(logits, index)

    def _remove_finished(self) -> None:
        for sequence in [s for s in self.active if s.finished]:
            self.active.remove(sequence)
            self._free_slots.append(sequence.slot)
        self._free_slots.sort()
