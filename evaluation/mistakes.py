"""Where what was heard differs from what was to be said."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def alignment(heard: Sequence, wanted: Sequence) -> list[tuple[int | None, int | None]]:
    """Pairs of places in both, in order, in the fewest edits: None where one has nothing for what the other has."""
    heard, wanted = np.asarray(heard), np.asarray(wanted)
    n, m = len(heard), len(wanted)
    along = np.arange(m + 1)
    cost = np.zeros((n + 1, m + 1), np.int64)
    cost[0] = along
    for i in range(1, n + 1):
        row = cost[i - 1] + 1
        row[1:] = np.minimum(row[1:], cost[i - 1, :-1] + (wanted != heard[i - 1]))
        cost[i] = np.minimum.accumulate(row - along) + along
    pairs: list[tuple[int | None, int | None]] = []
    i, j = n, m
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (heard[i - 1] != wanted[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]
