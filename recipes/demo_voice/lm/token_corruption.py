"""Corruption of input speech tokens: spans are replaced by others of the same utterance.

A model that reads only correct speech relies on it more than on the text; the targets stay correct,
so it learns to read the text. Pre-net dropout serves the same purpose in Tacotron
(arXiv 1703.10135).
"""

from __future__ import annotations

import numpy as np

MAX_SPAN = 12       # tokens; 0.24 s


def corrupt_tokens(
    ids: np.ndarray, is_speech: np.ndarray, rate: float, random: np.random.Generator
) -> np.ndarray:
    """A copy of `ids` [B, L] in which some speech tokens come from elsewhere in their row.

    is_speech: bool [B, L]; rate: about the fraction of each row's speech tokens.
    """
    ids = ids.copy()
    for row, mask in zip(ids, is_speech, strict=True):
        positions = np.flatnonzero(mask)
        count = len(positions)
        if count < 2:
            continue
        starts = np.flatnonzero(random.random(count) < rate / (MAX_SPAN / 2))
        ends = np.minimum(starts + random.integers(1, MAX_SPAN, len(starts)), count)
        corrupted = np.zeros(count, bool)
        for start, end in zip(starts, ends, strict=True):
            corrupted[start:end] = True
        shifted = np.roll(row[positions], int(random.integers(1, count)))
        row[positions[corrupted]] = shifted[corrupted]
    return ids
