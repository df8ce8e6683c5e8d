"""Sequences in fixed shapes: sorted into a few lengths, each with as many rows as keep the number of tokens about equal.

The batch of every step follows from the seed and the step's number alone, so a run that was killed goes on exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from sparktts_ms.training.examples import TrainingExample

LENGTHS = (128, 192, 256, 320, 448, 640, 1024, 1536, 2048)


@dataclass(frozen=True)
class Batch:
    """`ids` and `targets` int32, `counts` float32 (1 where a target is learnt, else 0), all [B, L]; of every row that
    has them its `word_alignment`, its `frame_phones` and `phone_positions`, which belong to the last targets before the end, and its `pronunciation`."""

    ids: np.ndarray
    targets: np.ndarray
    counts: np.ndarray
    word_alignments: tuple[np.ndarray | None, ...]
    frame_phones: tuple[np.ndarray | None, ...]
    pronunciations: tuple[tuple[tuple[str, ...], ...] | None, ...]
    phone_positions: tuple[np.ndarray | None, ...]


def batches(epoch: list[TrainingExample], tokens: int, longest: int) -> Iterator[Batch]:
    """An epoch's sequences as batches of about `tokens` ids; what does not fill a batch at the end is left out of it, unless
    the batch would be the only one of its length."""
    waiting: dict[int, list[TrainingExample]] = {}
    used: set[int] = set()
    for sequence in epoch:
        length = bucket(len(sequence.ids) - 1, longest)
        rows = max(1, tokens // length)
        queue = waiting.setdefault(length, [])
        queue.append(sequence)
        if len(queue) == rows:
            yield stack(queue, length, rows)
            used.add(length)
            queue.clear()
    for length, queue in waiting.items():
        if queue and length not in used:
            yield stack(queue, length, max(1, tokens // length))


def bucket(length: int, longest: int) -> int:
    return next((least for least in LENGTHS if least >= length), longest)


def stack(make_examples: list[TrainingExample], length: int, rows: int) -> Batch:
    ids, targets = np.zeros((rows, length), np.int32), np.zeros((rows, length), np.int32)
    counts = np.zeros((rows, length), np.float32)
    for row, sequence in enumerate(make_examples):
        n = len(sequence.ids) - 1
        ids[row, :n], targets[row, :n] = sequence.ids[:-1], sequence.ids[1:]
        counts[row, sequence.prompt_length - 1:n] = 1
        if sequence.loss_mask is not None:
            counts[row, n - 1 - len(sequence.loss_mask):n - 1] = sequence.loss_mask
    none = (None,) * (rows - len(make_examples))
    return Batch(ids, targets, counts, tuple(sequence.word_alignment for sequence in make_examples) + none,
                 tuple(sequence.frame_phones for sequence in make_examples) + none,
                 tuple(sequence.pronunciation for sequence in make_examples) + none,
                 tuple(sequence.phone_positions for sequence in make_examples) + none)


class Schedule:
    """Batch n of a run: epochs, one after the other, each shuffled from (seed, epoch)."""

    def __init__(self, epoch: Callable[[np.random.Generator], list[TrainingExample]], tokens: int, longest: int, seed: int):
        self.epoch, self.tokens, self.longest, self.seed = epoch, tokens, longest, seed

    def __call__(self, done: int) -> Iterator[Batch]:
        """The batches from number `done` on, without end."""
        number = 0
        while True:
            made = self.epoch(np.random.default_rng((self.seed, number)))
            for batch in batches(made, self.tokens, self.longest):
                if done:
                    done -= 1
                    continue
                yield batch
            number += 1
