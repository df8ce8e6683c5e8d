"""Continuous batching of sequences over one language model.

A step prefills at most one chunk of ids (chunked prefill), of several prompts where they are short
and the device takes them together, and then runs one decode step for all sequences that are ready,
so a long prompt delays the others by one prefill chunk a token. With the CPU kernels decoding is
batch-invariant: a sequence's tokens depend on its own prompt and seed.

A call that fails is repeated for each of its sequences, so that only those fail that cannot be
computed by themselves; the others go on.

Sequences in the background give way: a few slots are kept free of them, and they pause while
another sequence is young, so that its first sound comes as soon as without them. They get a part
of the steps even if young sequences never end.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparktts_ms.errors import InputError, SparkTTSError
from sparktts_ms.qwen2.language_model import LanguageModel, LMHead, PrefillChunk, StepLogits
from sparktts_ms.qwen2.sampling import Sampling, sample

logger = logging.getLogger("sparktts_ms")

YOUNG_STEPS = 96    # of a sequence: its prefill and about 80 tokens, enough for a first sound
MAX_PAUSE = 256     # steps for which the background pauses; then it takes part in every second one
FOREGROUND_SLOTS = 4                # that the background leaves free
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

    background: it gives way to other sequences; set before it is active.
    error: what ended it before it was finished; None for most.
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
        self.steps = 0                                      # of the engine, while active
        self.background = False
        self.finished = False
        self.error: Exception | None = None
        self._states = deque(grammar)
        self._state_tokens = 0                              # generated in the current state
        self._start_state()

    @property
    def allowed_rows(self) -> np.ndarray:
        """Rows of the LM head whose tokens are allowed next, ascending."""
        if len(self.tokens) < self.sampling.min_new_tokens:
            return self._rows_without_stops
        return self._rows

    def fail(self, error: Exception) -> None:
        """End the sequence with what went wrong."""
        self.error = error
        self.finished = True
        if not isinstance(error, SparkTTSError):
            logger.error("A sequence failed.", exc_info=error)

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
    """Schedules sequences and runs them as one batch. Not thread-safe.

    paused: the background took no part in the last step.
    """

    def __init__(self, model: LanguageModel):
        self.model = model
        self.waiting: deque[Sequence] = deque()
        self.active: list[Sequence] = []
        self.paused = False
        self._pause = 0                 # steps in which the background has given way
        self._free_slots = list(range(model.num_slots))

    @property
    def num_sequences(self) -> int:
        """How many are waiting or active."""
        return len(self.waiting) + len(self.active)

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
        """One prefill chunk and one decode step; False if no sequence is left. A sequence that
        cannot be computed is finished, with its `error`."""
        self._admit()
        scheduled = self._schedule()
        self._run(self._prefill_chunks, self._waiting_for_prefill(scheduled))
        ready = [s for s in scheduled if len(s.uncached) <= MIN_PREFILL and not s.finished]
        for head in dict.fromkeys(sequence.head for sequence in ready):
            self._run(self._decode_step, [sequence for sequence in ready if sequence.head is head])
        self._remove_finished()
        return bool(self.active or self.waiting)

    def _run(self, compute: Callable[[list[Sequence]], None], sequences: list[Sequence]) -> None:
        """Compute something for the sequences together; if that fails, for each by itself."""
        if not sequences:
            return
        try:
            compute(sequences)
        except Exception as error:
            if len(sequences) == 1:
                sequences[0].fail(error)
                return
            for sequence in sequences:
                self._run(compute, [sequence])

    def _admit(self) -> None:
        """Give free slots to waiting sequences: first to those of the foreground."""
        background = sum(sequence.background for sequence in self.active)
        for sequence in sorted(self.waiting, key=lambda sequence: sequence.background):
            if not self._free_slots:
                return
            if sequence.background:
                if background >= self.model.num_slots - FOREGROUND_SLOTS:
                    return
                background += 1
            self.waiting.remove(sequence)
            sequence.slot = self._free_slots.pop(0)
            self.active.append(sequence)

    def _schedule(self) -> list[Sequence]:
        """The active sequences that take part in a step."""
        foreground = [sequence for sequence in self.active if not sequence.background]
        young = any(sequence.steps < YOUNG_STEPS for sequence in foreground)
        has_background = len(foreground) < len(self.active)
        contended = young and has_background
        self._pause = max(0, self._pause + (1 if contended else -1)) if has_background else 0
        self.paused = contended and (self._pause <= MAX_PAUSE or self._pause % 2 == 1)
        scheduled = foreground if self.paused else list(self.active)
        for sequence in scheduled:
            sequence.steps += 1
        return scheduled

    def _waiting_for_prefill(self, scheduled: list[Sequence]) -> list[Sequence]:
        """The sequences whose prompts share the next prefill chunk, oldest first."""
        waiting = [s for s in scheduled if len(s.uncached) > MIN_PREFILL]
        if not self.model.packs_prefills:
            return waiting[:1]
        sharing = []
        room = self.model.prefill_chunk
        for sequence in waiting:
            if room <= 0:
                break
            sharing.append(sequence)
            room -= len(sequence.uncached) - 1
        return sharing

    def _prefill_chunks(self, sequences: list[Sequence]) -> None:
        """Prefill one chunk of the prompts of `sequences`, of each without its last id."""
        room = self.model.prefill_chunk
        chunks = []
        for sequence in sequences:
            ids = sequence.uncached[:min(room, len(sequence.uncached) - 1)]
            chunks.append(PrefillChunk(sequence.slot, np.array(ids), sequence.num_cached))
            room -= len(ids)
        self.model.prefill_packed(chunks)
        for sequence, chunk in zip(sequences, chunks, strict=True):
            del sequence.uncached[:len(chunk.ids)]
            sequence.num_cached += len(chunk.ids)

    def _decode_step(self, sequences: list[Sequence]) -> None:
        # Only the logits after a sequence's last uncached id are needed; other ranges are empty.
        ranges = []
        for sequence in sequences:
            rows = sequence.allowed_rows
            ranges.append((rows[0], rows[-1] + 1) if len(sequence.uncached) == 1 else (0, 0))
        logits = sequences[0].head.decode_step(
            np.array([s.uncached[0] for s in sequences]),
            np.array([s.num_cached for s in sequences]),
            np.array([s.slot for s in sequences]), np.array(ranges))
        for index, sequence in enumerate(sequences):
            del sequence.uncached[0]
            sequence.num_cached += 1
            if not sequence.uncached:
                try:
                    sequence.append_sampled(logits, index)
                except Exception as error:      # such as logits that are not finite
                    sequence.fail(error)

    def _remove_finished(self) -> None:
        for sequence in [s for s in self.active if s.finished]:
            self.active.remove(sequence)
            self._free_slots.append(sequence.slot)
        self._free_slots.sort()
