"""Where attention should look while text is read aloud: along the text, where the words are known to be, else at an even pace.

One head goes along the letters. Another looks at the end of the word that is being said, because that alone has read the whole
word: from the letters so far nobody can tell "mad" from "made". A model that begins from random weights finds this only after
very long; a pull on two heads of one layer, with keys of their own, shows it the way (guided attention, arXiv 1710.08969). A
trained model needs none.
"""

from __future__ import annotations

import numpy as np

from sparktts_ms.training.batches import Batch
from sparktts_ms.vocabulary import Vocabulary

HEADS = 2
WIDTH, LEAST_WIDTH = 0.04, 1.5      # standard deviation: of the text's length, and in letters
END_WIDTH = 0.7                     # of the letter after a word


def guide(batch: Batch, v: Vocabulary) -> np.ndarray:
    """[B, 2, L, L]: how welcome it is that a position's two heads look at another, 0 to 1. Rows that say no speech are led
    nowhere: 1."""
    rows, length = batch.ids.shape
    lead = np.ones((rows, HEADS, length, length), np.float32)
    for row in range(rows):
        text, ends = text_pieces(batch.ids[row], v), np.flatnonzero(batch.counts[row])
        starts = np.flatnonzero(batch.ids[row] == v.start_semantic_token)
        if text is None or not len(ends) or not len(starts):
            continue
        begin, pieces = text
        end, speech = begin + len(pieces), int(starts[0])
        letters = np.array([len(piece) for piece in pieces], np.float32)
        places = np.cumsum(letters) - letters / 2
        steps = np.arange(speech, ends[-1] + 1)
        frames, course = steps - speech + 0.5, batch.courses[row]
        if course is None:
            reached = letters.sum() * frames / len(steps)
        else:
            reached = np.interp(frames, *np.concatenate([np.zeros((1, 2)), course]).T)
        width = max(LEAST_WIDTH, WIDTH * letters.sum())
        learnt = batch.counts[row, steps] > 0
        near = np.zeros((HEADS, len(steps), length), np.float32)
        near[0, :, begin:end] = bump(places, reached, np.maximum(width, letters / 2))
        after = np.minimum(word_end(pieces, reached) + 0.5, places[-1])
        near[1, :, begin:end] = bump(places, after, np.maximum(END_WIDTH, letters / 2))
        lead[row][:, steps[learnt]] = near[:, learnt]
    return lead


def text_pieces(ids: np.ndarray, v: Vocabulary) -> tuple[int, list[str]] | None:
    """Where the text begins in a row of ids, and the pieces it is cut into; None if there is no text."""
    begins, ends = np.flatnonzero(ids == v.start_content), np.flatnonzero(ids == v.end_content)
    if not len(begins) or not len(ends):
        return None
    begin = int(begins[0]) + 1
    return begin, [v.plain.id_to_token(int(t)) or " " for t in ids[begin:int(ends[0])]]


def bump(places: np.ndarray, centres: np.ndarray, width: np.ndarray) -> np.ndarray:
    # [P], [T], [P] -> [T, P]
    return np.exp(-0.5 * np.square((places - centres[:, None]) / width))


def word_end(pieces: list[str], reached: np.ndarray) -> np.ndarray:
    """Where the words end that are being said when so many letters are reached [T]."""
    ends = np.array([*word_begins(pieces), sum(map(len, pieces))], np.float32)
    return ends[np.minimum(np.searchsorted(ends, reached), len(ends) - 1)]


def word_begins(pieces: list[str]) -> list[int]:
    """The letters at which words begin, but for the first: spaces ("\u0120" in byte-level vocabularies)."""
    return [n for n, letter in enumerate("".join(pieces)) if letter in " \u0120" and n]
