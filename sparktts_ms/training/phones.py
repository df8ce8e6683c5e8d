"""Which phones the text means, and which one is being said, where the manifest knows: two lessons beside the speech tokens.

The idea: what a token owes to the text drowns in what it owes to chance, while a phone follows from the text alone. How much it
gives has not been measured by itself (recipes/demo_voice/README.md says what was). The end of each word shall know how the word
is spoken, and the layer after the guided one (`guide.py`) which phone comes now. Both are read off by matrices that are not kept.
"""

from __future__ import annotations

import numpy as np

from sparktts_ms.training.batches import Batch
from sparktts_ms.training.examples import Encoded
from sparktts_ms.training.guide import text_pieces, word_begins
from sparktts_ms.vocabulary import Vocabulary

SLOTS = 10          # phones of a word that are taught


def inventory(spoken: list[Encoded]) -> list[str]:
    """The names of all phones, sorted; first the empty one, which says that the word is over."""
    return ["", *sorted({name for one in spoken for name, _ in one.phones or () if name})]


def sounds(batch: Batch, names: list[str]) -> np.ndarray:
    """[B * L, 1]: which phone each target is a frame of; -1 where that is not known."""
    found = np.full(batch.ids.shape, -1, np.int32)
    for row, said in enumerate(batch.sounds):
        if said is not None:
            end = int(np.flatnonzero(batch.counts[row])[-1])
            found[row, end - len(said):end] = np.searchsorted(names, said)
    return found.reshape(-1, 1)


def spellings(batch: Batch, names: list[str], v: Vocabulary) -> np.ndarray:
    """[B * L, 10]: at the token after each word its phones, in order; -1 elsewhere."""
    found = np.full((*batch.ids.shape, SLOTS), -1, np.int32)
    for row, words in enumerate(batch.spellings):
        text = text_pieces(batch.ids[row], v)
        if words is None or text is None:
            continue
        begin, pieces = text
        starts = np.cumsum([0, *map(len, pieces)])
        after = np.searchsorted(starts, [*word_begins(pieces), starts[-1] - 1], "right") - 1
        if len(after) != len(words):
            continue
        for place, word in zip(after, words, strict=True):
            if word:
                found[row, begin + place] = 0
                found[row, begin + place, :len(word[:SLOTS])] = np.searchsorted(names, word[:SLOTS])
    return found.reshape(-1, SLOTS)
