"""Two sequences side by side: what was heard and what was to be said."""

from __future__ import annotations

import numpy as np


def alignment(price: np.ndarray, gap: int = 1) -> list[tuple[int | None, int | None]]:
    """Pairs of places in both, in order, as is cheapest: None where one has nothing for what the other has. `price` [N, M] says
    what it costs to take one's place for the other's, `gap` to leave one out; whole numbers."""
    n, m = price.shape
    along = gap * np.arange(m + 1)
    cost = np.zeros((n + 1, m + 1), np.int64)
    cost[0] = along
    for i in range(1, n + 1):
        row = cost[i - 1] + gap
        row[1:] = np.minimum(row[1:], cost[i - 1, :-1] + price[i - 1])
        cost[i] = np.minimum.accumulate(row - along) + along
    pairs: list[tuple[int | None, int | None]] = []
    i, j = n, m
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + price[i - 1, j - 1]:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i and cost[i, j] == cost[i - 1, j] + gap:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]
