"""How the words of the text are spoken, and where in them speech is, where the manifest knows: lessons beside the speech tokens.

The idea: what a token owes to the text drowns in what it owes to chance, while a phone follows from the text alone. Three
places are taught, one after the other: the end of each word, before the guided layer (`guide.py`), how the word is spoken; that
layer's output at each frame of speech, which word is being said, in phones, and how many of them have been; the next layer's,
the phone that follows from both. All are read off by matrices that are not kept. recipes/demo_voice/README.md says what was
measured of it.
"""

from __future__ import annotations

import numpy as np

from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.training.batches import Batch
from sparktts_ms.training.dataset import EncodedRecording
from sparktts_ms.training.guide import text_pieces, word_begins

SLOTS = 10          # phones of a word that are taught


def inventory(spoken: list[EncodedRecording]) -> list[str]:
    """The names of all phones, sorted; first the empty one, which says that the word is over."""
    return ["", *sorted({name for one in spoken for name, _ in one.phones or () if name})]


def frame_phones(batch: Batch, names: list[str]) -> np.ndarray:
    """[B * L, 1]: which phone each target is a frame of; -1 where that is not known."""
    found = np.full(batch.ids.shape, -1, np.int32)
    for row, said in enumerate(batch.frame_phones):
        if said is not None:
            end = int(np.flatnonzero(batch.counts[row])[-1])
            found[row, end - len(said):end] = np.searchsorted(names, said)
    return found.reshape(-1, 1)


def words(batch: Batch, names: list[str]) -> np.ndarray:
    """[B * L, 11]: of the word that each target is a frame of its phones, in order, and which of them the frame belongs to; -1
    in pauses and where that is not known."""
    found = np.full((*batch.ids.shape, SLOTS + 1), -1, np.int32)
    for row, (pronunciation, phone_positions) in enumerate(zip(batch.pronunciations, batch.phone_positions, strict=True)):
        if pronunciation is None or phone_positions is None:
            continue
        table = np.zeros((len(pronunciation) + 1, SLOTS), np.int32)
        for n, word in enumerate(pronunciation):
            table[n, :len(word[:SLOTS])] = np.searchsorted(names, word[:SLOTS])
        left, phone = phone_positions.T
        said = np.concatenate([table[len(pronunciation) - left], np.minimum(phone, min(SLOTS, len(names)) - 1)[:, None]], 1)
        known = (left > 0) & (left <= len(pronunciation)) & (phone >= 0) & (said[:, 0] > 0)
        end = int(np.flatnonzero(batch.counts[row])[-1])
        found[row, end - len(said):end][known] = said[known]
    return found.reshape(-1, SLOTS + 1)


def pronunciations(batch: Batch, names: list[str], v: Vocabulary) -> np.ndarray:
    """[B * L, 10]: at the token after each word its phones, in order; -1 elsewhere."""
    found = np.full((*batch.ids.shape, SLOTS), -1, np.int32)
    for row, words in enumerate(batch.pronunciations):
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
