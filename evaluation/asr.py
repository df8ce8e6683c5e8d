"""What a recogniser that had no part in the training understands: pocketsphinx with the English model of its package."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

_decoder = None


def transcripts(utterances: Sequence[np.ndarray], workers: int | None = None) -> list[str]:
    """Lower-case words of each of several recordings: samples [N] at 16 kHz, in (-1, 1)."""
    with ProcessPoolExecutor(workers or os.cpu_count(), get_context("spawn")) as pool:     # forks lose MindSpore's threads
        return list(pool.map(transcript, utterances))


def transcript(samples: np.ndarray) -> str:
    """Lower-case words of samples [N] at 16 kHz; "" if nothing was understood. Does not depend on what was heard before."""
    from pocketsphinx import Decoder

    global _decoder
    if _decoder is None:
        _decoder = Decoder(samprate=16000, loglevel="FATAL")
    else:
        _decoder.reinit_feat()          # forget the level of earlier recordings
    pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    _decoder.start_utt()
    _decoder.process_raw(pcm, full_utt=True)
    _decoder.end_utt()
    return _decoder.hyp().hypstr if _decoder.hyp() else ""


def word_errors(expected: str, heard: str) -> int:
    """Words replaced, missed or added: the edit distance between two word sequences."""
    a, b = expected.split(), heard.split()
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def error_rate(expected: Sequence[str], heard: Sequence[str]) -> float:
    """Word errors over words, of all utterances together."""
    return sum(map(word_errors, expected, heard)) / max(1, sum(len(text.split()) for text in expected))
