"""Speech with mistakes in it, to be read but not learnt: stretches of an utterance replaced by others of the same utterance.

A model that only ever reads true speech trusts it more than the text; once it has misspoken it loses its place. One that goes on
rightly after such mistakes reads the text (the dropout before Tacotron's decoder does the same: arXiv 1703.10135).
"""

from __future__ import annotations

import numpy as np

LONGEST = 12        # tokens of a stretch: a quarter of a second


def garble(ids: np.ndarray, speech: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """A copy of `ids` [B, L] in which about `share` of each row's tokens at `speech` [B, L] come from elsewhere in that row."""
    ids = ids.copy()
    for row, where in zip(ids, speech, strict=True):
        phone_positions = np.flatnonzero(where)
        if len(phone_positions) < 2:
            continue
        starts = np.flatnonzero(random.random(len(phone_positions)) < share / (LONGEST / 2))
        ends = np.minimum(starts + random.integers(1, LONGEST, len(starts)), len(phone_positions))
        wrong = np.zeros(len(phone_positions), bool)
        for start, end in zip(starts, ends, strict=True):
            wrong[start:end] = True
        elsewhere = np.roll(row[phone_positions], int(random.integers(1, len(phone_positions))))
        row[phone_positions[wrong]] = elsewhere[wrong]
    return ids
