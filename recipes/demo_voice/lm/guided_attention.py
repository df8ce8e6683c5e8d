"""Guided attention (arXiv 1710.08969): where in the text two attention heads should look.

The first head follows the letters. The second looks at the end of the current word, the only
position that has read all of it: a causal model cannot tell "mad" from "made" at the "d". The
target moves with the words where their ends are known, else at an even rate. It helps a model
that is trained from random weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparktts_ms.generation.vocabulary import Vocabulary

HEADS = 2
WIDTH = 0.04            # standard deviation of the first head's target, of the text's length
MIN_WIDTH = 1.5         # letters
WORD_END_WIDTH = 0.7    # letters; standard deviation of the second head's target


@dataclass(frozen=True)
class AttentionTargets:
    """Where each head should look, in letters of the text.

    centers: [B, 2, L] by query, NaN without a target. widths: [B, 2, L] and letters: [B, L] by key,
    the standard deviation and the middle of each text token, infinite elsewhere.
    """

    centers: np.ndarray
    widths: np.ndarray
    letters: np.ndarray


def attention_targets(
    ids: np.ndarray,
    loss_mask: np.ndarray,
    word_alignments: list[np.ndarray | None],
    vocabulary: Vocabulary,
) -> AttentionTargets:
    """Targets of the queries in `loss_mask` [B, L]; rows without text or speech have none.

    word_alignments: of each row, float [words, 2] with the frame of speech and the byte of the text
    at which each word ends, or None.
    """
    rows, length = ids.shape
    centers = np.full((rows, HEADS, length), np.nan, np.float32)
    widths = np.ones((rows, HEADS, length), np.float32)
    letters = np.full((rows, length), np.inf, np.float32)
    for row, alignment in enumerate(word_alignments):
        text = text_tokens(ids[row], vocabulary)
        learned = np.flatnonzero(loss_mask[row])
        speech_starts = np.flatnonzero(ids[row] == vocabulary.start_semantic_token)
        if text is None or not len(learned) or not len(speech_starts):
            continue
        begin, tokens = text
        end = begin + len(tokens)
        speech = int(speech_starts[0])
        sizes = np.array([len(token) for token in tokens], np.float32)
        middles = np.cumsum(sizes) - sizes / 2
        queries = np.arange(speech, learned[-1] + 1)
        frames = queries - speech + 0.5
        if alignment is None:
            position = sizes.sum() * frames / len(queries)
        else:
            position = np.interp(frames, *np.concatenate([np.zeros((1, 2)), alignment]).T)
        word_end = np.minimum(next_word_end(tokens, position) + 0.5, middles[-1])
        selected = loss_mask[row, queries] > 0
        letters[row, begin:end] = middles
        centers[row, 0, queries[selected]] = position[selected]
        centers[row, 1, queries[selected]] = word_end[selected]
        widths[row, 0, begin:end] = np.maximum(max(MIN_WIDTH, WIDTH * sizes.sum()), sizes / 2)
        widths[row, 1, begin:end] = np.maximum(WORD_END_WIDTH, sizes / 2)
    return AttentionTargets(centers, widths, letters)


def attention_prior(targets: AttentionTargets) -> np.ndarray:
    """float32 [B, 2, L, L]: Gaussian windows, between 0 and 1, of where each query should look;
    1 everywhere for queries without a target."""
    distance = targets.letters[:, None, None] - targets.centers[..., None]
    distance = distance / targets.widths[:, :, None]
    return np.where(np.isnan(distance), np.float32(1), np.exp(-0.5 * np.square(distance)))


def text_tokens(ids: np.ndarray, vocabulary: Vocabulary) -> tuple[int, list[str]] | None:
    """The index of the first text token in a row of ids, and all text tokens; None without text."""
    starts = np.flatnonzero(ids == vocabulary.start_content)
    ends = np.flatnonzero(ids == vocabulary.end_content)
    if not len(starts) or not len(ends):
        return None
    begin = int(starts[0]) + 1
    tokens = []
    for token_id in ids[begin:int(ends[0])]:
        tokens.append(vocabulary.plain.id_to_token(int(token_id)) or " ")
    return begin, tokens


def next_word_end(tokens: list[str], position: np.ndarray) -> np.ndarray:
    """The ends [T] of the words at `position` [T], all in letters."""
    ends = np.array([*word_starts(tokens), sum(map(len, tokens))], np.float32)
    return ends[np.minimum(np.searchsorted(ends, position), len(ends) - 1)]


def word_starts(tokens: list[str]) -> list[int]:
    """The letters at which words start, without the first: spaces ("\u0120" if byte-level)."""
    return [n for n, letter in enumerate("".join(tokens)) if letter in " \u0120" and n]
