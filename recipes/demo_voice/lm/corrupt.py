"""Speech that goes astray as a language model's does, to be read beside what should have been said."""

from __future__ import annotations

import numpy as np

SHARE = 0.25            # of the tokens, where there is always somewhere else to go
STRETCH = (4, 60)       # tokens of each stretch: long enough to be followed by who has no memory


def strayed(ids: np.ndarray, speech: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A copy of `ids` [B, L] where speech goes astray as the model's does: from one token on as it goes on elsewhere in its row
    after the same token, for a while."""
    made = ids.copy()
    for row, read, where in zip(ids, made, speech, strict=True):
        phone_positions = np.flatnonzero(where)
        for start in phone_positions[1:][random.random(len(phone_positions[1:])) < SHARE / np.mean(STRETCH)]:
            elsewhere = phone_positions[(row[phone_positions] == row[start - 1]) & (phone_positions != start - 1)] + 1
            if len(elsewhere):
                other, length = int(random.choice(elsewhere)), int(random.integers(*STRETCH))
                length = min(length, len(row) - other, phone_positions[-1] + 1 - max(start, other))
                read[start:start + max(0, length)] = row[other:other + max(0, length)]
    return made
