"""Sequences in fixed shapes: sorted into a few lengths, each with as many rows as keep the number of tokens about equal.

The batch of every step follows from the seed and the step's number alone, so a run that was killed goes on exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from sparktts_ms.training.sequences import Sequence

LENGTHS = (128, 192, 256, 320, 448, 640, 1024, 1536, 2048)


@dataclass(frozen=True)
class Batch:
    """`ids` and `targets` int32, `counts` float32 (1 where a target is learnt, else 0), all [B, L]; of every row that
    has them its `course`, its `sounds` and `places`, which belong to the last targets before the end, and its `spelling`."""

    ids: np.ndarray
    targets: np.ndarray
    counts: np.ndarray
    courses: tuple[np.ndarray | None, ...]
    sounds: tuple[np.ndarray | None, ...]
    spellings: tuple[tuple[tuple[str, ...], ...] | None, ...]
    places: tuple[np.ndarray | None, ...]


def batches(epoch: list[Sequence], tokens: int, longest: int) -> Iterator[Batch]:
    """An epoch's sequences as batches of about `tokens` ids; what does not fill a batch at the end is left out of it, unless
    the batch would be the only one of its length."""
    waiting: dict[int, list[Sequence]] = {}
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


def stack(sequences: list[Sequence], length: int, rows: int) -> Batch:
    ids, targets = np.zeros((rows, length), np.int32), np.zeros((rows, length), np.int32)
    counts = np.zeros((rows, length), np.float32)
    for row, sequence in enumerate(sequences):
        n = len(sequence.ids) - 1
        ids[row, :n], targets[row, :n] = sequence.ids[:-1], sequence.ids[1:]
        counts[row, sequence.given - 1:n] = 1
        if sequence.learnt is not None:
            counts[row, n - 1 - len(sequence.learnt):n - 1] = sequence.learnt
    none = (None,) * (rows - len(sequences))
    return Batch(ids, targets, counts, tuple(sequence.course for sequence in sequences) + none,
                 tuple(sequence.sounds for sequence in sequences) + none,
                 tuple(sequence.spelling for sequence in sequences) + none,
                 tuple(sequence.places for sequence in sequences) + none)


class Schedule:
    """Batch n of a run: epochs, one after the other, each shuffled from (seed, epoch)."""

    def __init__(self, epoch: Callable[[np.random.Generator], list[Sequence]], tokens: int, longest: int, seed: int):
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
