"""Minimum-cost alignment of two sequences, and the edit distance that follows from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def alignment(substitution: np.ndarray, gap: int = 1) -> list[tuple[int | None, int | None]]:
    """Pairs of indices into both sequences, in order: the alignment of least total cost.

    substitution: cost [N, M] of pairing item i of one with item j of the other, whole numbers.
    gap: cost of an item without a partner; its pair has None on the other side.
    """
    n, m = substitution.shape
    gaps = gap * np.arange(m + 1)
    cost = np.zeros((n + 1, m + 1), np.int64)
    cost[0] = gaps
    for i in range(1, n + 1):
        row = cost[i - 1] + gap
        row[1:] = np.minimum(row[1:], cost[i - 1, :-1] + substitution[i - 1])
        cost[i] = np.minimum.accumulate(row - gaps) + gaps
    return _backtrack(cost, substitution, gap)


def edit_distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Substitutions, deletions and insertions that turn one sequence into the other."""
    differ = np.array(list(one), object)[:, None] != np.array(list(other), object)
    errors = 0
    for i, j in alignment(differ.astype(int)):
        errors += i is None or j is None or one[i] != other[j]
    return errors


def _backtrack(
    cost: np.ndarray, substitution: np.ndarray, gap: int
) -> list[tuple[int | None, int | None]]:
    """The pairs of the cheapest path through the accumulated cost [N + 1, M + 1]."""
    pairs: list[tuple[int | None, int | None]] = []
    i = len(cost) - 1
    j = cost.shape[1] - 1
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + substitution[i - 1, j - 1]:
            i -= 1
            j -= 1
            pairs.append((i, j))
        elif i and cost[i, j] == cost[i - 1, j] + gap:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]
