"""Automatic speech recognition and its error rate: pocketsphinx with its English model.

The recognizer took no part in training.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from evaluation.alignment import edit_distance

_decoder = None


def transcribe(samples: np.ndarray) -> str:
    """Lower-case words of samples [N] at 16 kHz in (-1, 1); "" if there are none.

    The result does not depend on recordings transcribed before.
    """
    from pocketsphinx import Decoder

    global _decoder
    if _decoder is None:
        _decoder = Decoder(samprate=16000, loglevel="FATAL")
    else:
        _decoder.reinit_feat()          # forget the cepstral mean of earlier recordings
    pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    _decoder.start_utt()
    _decoder.process_raw(pcm, full_utt=True)
    _decoder.end_utt()
    return _decoder.hyp().hypstr if _decoder.hyp() else ""


def transcribe_all(utterances: Sequence[np.ndarray], workers: int | None = None) -> list[str]:
    """`transcribe` for several recordings, in `workers` processes (one per CPU core)."""
    context = get_context("spawn")      # a forked process would lack MindSpore's threads
    with ProcessPoolExecutor(workers or os.cpu_count(), context) as pool:
        return list(pool.map(transcribe, utterances))


def word_errors(reference: str, hypothesis: str) -> int:
    """Substituted, deleted and inserted words."""
    return edit_distance(reference.split(), hypothesis.split())


def word_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Word errors over reference words, of all utterances together."""
    words = sum(len(reference.split()) for reference in references)
    return sum(map(word_errors, references, hypotheses)) / max(1, words)
