"""Where attention should look while text is read aloud: along the text, where the words are known to be, else at an even pace.

A model that begins from random weights finds this only after very long; a pull on one head of one layer shows it the way
(guided attention, arXiv 1710.08969). A trained model needs none.
"""

from __future__ import annotations

import numpy as np

from sparktts_ms.training.batches import Batch
from sparktts_ms.vocabulary import Vocabulary

WIDTH, LEAST_WIDTH = 0.04, 1.5      # standard deviation: of the text's length, and in letters


def guide(batch: Batch, v: Vocabulary) -> np.ndarray:
    """[B, L, L]: how welcome it is that a position looks at another, 0 to 1. Rows that say no speech are led nowhere: 1."""
    rows, length = batch.ids.shape
    lead = np.ones((rows, length, length), np.float32)
    for row in range(rows):
        found = [np.flatnonzero(batch.ids[row] == mark)[:1] for mark in (v.start_content, v.end_content, v.start_semantic_token)]
        ends = np.flatnonzero(batch.counts[row])
        if not all(len(places) for places in (*found, ends)):
            continue
        begin, end, speech = int(found[0][0]) + 1, int(found[1][0]), int(found[2][0])
        letters = np.array([len(v.plain.id_to_token(int(t)) or " ") for t in batch.ids[row, begin:end]], np.float32)
        places = np.cumsum(letters) - letters / 2
        steps = np.arange(speech, ends[-1] + 1)
        frames, course = steps - speech + 0.5, batch.courses[row]
        if course is None:
            reached = letters.sum() * frames / len(steps)
        else:
            reached = np.interp(frames, *np.concatenate([np.zeros((1, 2)), course]).T)
        width = max(LEAST_WIDTH, WIDTH * letters.sum())
        learnt = batch.counts[row, steps] > 0
        near = np.zeros((len(steps), length), np.float32)
        near[:, begin:end] = np.exp(-0.5 * np.square((places - reached[:, None]) / np.maximum(width, letters / 2)))
        lead[row, steps[learnt]] = near[learnt]
    return lead
