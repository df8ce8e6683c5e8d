"""Batches of fixed shapes: examples are sorted into a few lengths and padded.

The batch of every step follows from the seed and the step alone, so a run resumes exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from sparktts_ms.training.examples import TrainingExample

BUCKETS = (128, 192, 256, 320, 448, 640, 1024, 1536, 2048)     # lengths that examples are padded to


@dataclass(frozen=True)
class Batch:
    """`ids` and `targets` int32 and `loss_mask` float32 (1 where the target is learned), [B, L].

    examples: those of the first rows; other rows are padding.
    """

    ids: np.ndarray
    targets: np.ndarray
    loss_mask: np.ndarray
    examples: tuple[TrainingExample, ...]


def make_batches(examples: list[TrainingExample], batch_tokens: int,
                 max_length: int) -> Iterator[Batch]:
    """An epoch's examples in batches of about `batch_tokens` ids.

    An incomplete batch at the end is dropped unless it is the only one of its length.
    """
    pending: dict[int, list[TrainingExample]] = {}
    used: set[int] = set()
    for example in examples:
        size = len(example.ids) - 1
        length = next((bucket for bucket in BUCKETS if bucket >= size), max_length)
        rows = max(1, batch_tokens // length)
        bucket = pending.setdefault(length, [])
        bucket.append(example)
        if len(bucket) == rows:
            yield collate(bucket, length, rows)
            used.add(length)
            bucket.clear()
    for length, bucket in pending.items():
        if bucket and length not in used:
            yield collate(bucket, length, max(1, batch_tokens // length))


def collate(examples: list[TrainingExample], length: int, rows: int) -> Batch:
    """Examples as a batch of `rows` padded to `length`; each target is the next id."""
    ids = np.zeros((rows, length), np.int32)
    targets = np.zeros((rows, length), np.int32)
    loss_mask = np.zeros((rows, length), np.float32)
    for row, example in enumerate(examples):
        n = len(example.ids) - 1
        ids[row, :n] = example.ids[:-1]
        targets[row, :n] = example.ids[1:]
        loss_mask[row, example.prompt_length - 1:n] = 1
    return Batch(ids, targets, loss_mask, tuple(examples))


@dataclass(frozen=True)
class DataLoader:
    """Endless batches: epoch after epoch, each drawn from (seed, epoch)."""

    make_epoch: Callable[[np.random.Generator], list[TrainingExample]]
    batch_tokens: int
    max_length: int
    seed: int

    def batches(self, start: int = 0) -> Iterator[Batch]:
        """The batches from number `start` on."""
        number = 0
        for epoch in count():
            examples = self.make_epoch(np.random.default_rng((self.seed, epoch)))
            for batch in make_batches(examples, self.batch_tokens, self.max_length):
                if number >= start:
                    yield batch
                number += 1
