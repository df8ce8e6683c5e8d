"""Where attention should look while text is read aloud: along the text, where the words are known to be, else at an even pace.

One head goes along the letters. Another looks at the end of the word that is being said, because that alone has read the whole
word: from the letters so far nobody can tell "mad" from "made". A model that begins from random weights finds this only after
very long; a pull on two heads of one layer, with keys of their own, shows it the way (guided attention, arXiv 1710.08969). A
trained model needs none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.training.batches import Batch

HEADS = 2
WIDTH, LEAST_WIDTH = 0.04, 1.5      # standard deviation: of the text's length, and in letters
END_WIDTH = 0.7                     # of the letter after a word


@dataclass(frozen=True)
class Aims:
    """Where two heads should look, in letters of the text: `centres` [B, 2, L] of what is welcome to a position, NaN where it is
    led nowhere; `widths` [B, 2, L] of that and `phone_positions` [B, L] of the pieces of the text looked at, infinite elsewhere."""

    centres: np.ndarray
    widths: np.ndarray
    phone_positions: np.ndarray


def aims(batch: Batch, v: Vocabulary) -> Aims:
    """The aims of all that a batch learns; rows that say no speech are led nowhere."""
    rows, length = batch.ids.shape
    centres, widths = np.full((rows, HEADS, length), np.nan, np.float32), np.ones((rows, HEADS, length), np.float32)
    pieces_at = np.full((rows, length), np.inf, np.float32)
    for row in range(rows):
        text, ends = text_pieces(batch.ids[row], v), np.flatnonzero(batch.counts[row])
        starts = np.flatnonzero(batch.ids[row] == v.start_semantic_token)
        if text is None or not len(ends) or not len(starts):
            continue
        begin, pieces = text
        end, speech = begin + len(pieces), int(starts[0])
        letters = np.array([len(piece) for piece in pieces], np.float32)
        phone_positions = np.cumsum(letters) - letters / 2
        steps = np.arange(speech, ends[-1] + 1)
        frames, word_alignment = steps - speech + 0.5, batch.word_alignments[row]
        if word_alignment is None:
            reached = letters.sum() * frames / len(steps)
        else:
            reached = np.interp(frames, *np.concatenate([np.zeros((1, 2)), word_alignment]).T)
        loss_mask = batch.counts[row, steps] > 0
        pieces_at[row, begin:end] = phone_positions
        centres[row, 0, steps[loss_mask]] = reached[loss_mask]
        centres[row, 1, steps[loss_mask]] = np.minimum(word_end(pieces, reached) + 0.5, phone_positions[-1])[loss_mask]
        widths[row, 0, begin:end] = np.maximum(max(LEAST_WIDTH, WIDTH * letters.sum()), letters / 2)
        widths[row, 1, begin:end] = np.maximum(END_WIDTH, letters / 2)
    return Aims(centres, widths, pieces_at)


def guide(batch: Batch, v: Vocabulary) -> np.ndarray:
    """[B, 2, L, L]: how welcome it is that a position's two heads look at another, 0 to 1; 1 where they are led nowhere."""
    where = aims(batch, v)
    away = (where.phone_positions[:, None, None] - where.centres[..., None]) / where.widths[:, :, None]
    return np.where(np.isnan(away), np.float32(1), np.exp(-0.5 * np.square(away)))


def text_pieces(ids: np.ndarray, v: Vocabulary) -> tuple[int, list[str]] | None:
    """Where the text begins in a row of ids, and the pieces it is cut into; None if there is no text."""
    begins, ends = np.flatnonzero(ids == v.start_content), np.flatnonzero(ids == v.end_content)
    if not len(begins) or not len(ends):
        return None
    begin = int(begins[0]) + 1
    return begin, [v.plain.id_to_token(int(t)) or " " for t in ids[begin:int(ends[0])]]


def word_end(pieces: list[str], reached: np.ndarray) -> np.ndarray:
    """Where the words end that are being said when so many letters are reached [T]."""
    ends = np.array([*word_begins(pieces), sum(map(len, pieces))], np.float32)
    return ends[np.minimum(np.searchsorted(ends, reached), len(ends) - 1)]


def word_begins(pieces: list[str]) -> list[int]:
    """The letters at which words begin, but for the first: spaces ("\u0120" in byte-level vocabularies)."""
    return [n for n, letter in enumerate("".join(pieces)) if letter in " \u0120" and n]
