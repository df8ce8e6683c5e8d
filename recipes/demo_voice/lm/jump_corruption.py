"""Corruption of input speech tokens as a language model errs: speech jumps to another position.

Unlike token_corruption.py, the segment that is read instead begins after the same token as the one
it replaces, so that the jump is not audible at its beginning.
"""

from __future__ import annotations

import numpy as np

CORRUPTION_RATE = 0.25      # of the tokens, where there is always a position to jump to
MIN_SEGMENT = 4             # tokens
MAX_SEGMENT = 60


def corrupt_with_jumps(ids: np.ndarray, is_speech: np.ndarray, rng: np.random.Generator,
                       ) -> np.ndarray:
    """A copy of `ids` [B, L] with segments at `is_speech` (bool [B, L]) replaced by others of the
    same row that follow the same token."""
    corrupted = ids.copy()
    jump_rate = CORRUPTION_RATE / np.mean((MIN_SEGMENT, MAX_SEGMENT))
    for source, row, mask in zip(ids, corrupted, is_speech, strict=True):
        positions = np.flatnonzero(mask)
        inner = positions[1:]
        for start in inner[rng.random(len(inner)) < jump_rate]:
            same_token = source[positions] == source[start - 1]
            targets = positions[same_token & (positions != start - 1)] + 1
            if not len(targets):
                continue
            target = int(rng.choice(targets))
            length = int(rng.integers(MIN_SEGMENT, MAX_SEGMENT))
            available = positions[-1] + 1 - max(start, target)
            length = max(0, min(length, len(source) - target, available))
            row[start:start + length] = source[target:target + length]
    return corrupted
