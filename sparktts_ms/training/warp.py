"""Speech whose time runs unevenly, to be read but not learnt: stretches of an utterance drawn out or hurried.

A model that has only read evenly timed speech finds its place in the text by counting, too. Its own speech lingers now and then,
the count is wrong, and words are said twice or left out. recipes/demo_voice/README.md says what was measured of it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparktts_ms.generation.vocabulary import TOKENS_PER_SECOND
from sparktts_ms.training.dataset import EncodedRecording

APART = 75              # tokens: one stretch in each second and a half
SHORTEST, LONGEST = 10, 40      # tokens of a stretch: 0.2 to 0.8 s
FACTOR = 2.0            # so much slower or faster at most


def warp(one: EncodedRecording, random: np.random.Generator) -> EncodedRecording:
    """`one` with stretches of it at another pace, tokens said again or left out; what is known of its words and phones moves with
    them. Pitch and spoken seconds stay as they were: they tell of what is learnt, which is all but those stretches."""
    length = len(one.semantic_ids)
    pieces, loss_mask = [], []
    done = 0
    for begin in range(0, length - 2 * SHORTEST + 1, APART):
        room = min(APART, length - begin)
        size = int(random.integers(SHORTEST, min(LONGEST, room // 2) + 1))
        start = begin + int(random.integers(0, room - size + 1))
        count = max(1, round(size * FACTOR ** random.uniform(-1, 1)))
        pieces += [np.arange(done, start), start + np.arange(count) * size // count]
        loss_mask += [np.ones(start - done, bool), np.zeros(count, bool)]
        done = start + size
    taken = np.concatenate([*pieces, np.arange(done, length)])
    begins = np.searchsorted(taken, np.arange(length + 1))          # where a token, or the first after it that is left, is now

    def moved(seconds: float) -> float:
        return float(np.interp(seconds * TOKENS_PER_SECOND, np.arange(length + 1), begins)) / TOKENS_PER_SECOND
    return replace(one, semantic_ids=[one.semantic_ids[n] for n in taken],
                   word_ends=one.word_ends and tuple(moved(end) for end in one.word_ends),
                   phones=one.phones and tuple((name, moved(end)) for name, end in one.phones),
                   loss_mask=np.concatenate([*loss_mask, np.ones(length - done, bool)]))
