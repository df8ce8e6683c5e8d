"""Bucket sizes that utterances are padded to, so that the number of compiled graphs is bounded."""

from collections.abc import Sequence

import numpy as np

PROMPT_FRAME_BUCKETS = (150, 300, 450, 600, 900, 1500)      # 50 Hz frames of a recording: 3 to 30 s


def padded_length(length: int, buckets: Sequence[int]) -> int:
    """The smallest of the ascending `buckets` for `length`, or else a multiple of the last."""
    for size in buckets:
        if length <= size:
            return size
    return -(-length // buckets[-1]) * buckets[-1]


def pad_rows(x: np.ndarray, length: int) -> np.ndarray:
    """`x` [T, ...] padded with zeros to [length, ...]."""
    padded = np.zeros((length, *x.shape[1:]), x.dtype)
    padded[:len(x)] = x
    return padded


def padding_mask(valid: int, length: int) -> np.ndarray:
    """[length, 1] float32: 1 for the first `valid` rows, 0 for padding."""
    return (np.arange(length)[:, None] < valid).astype(np.float32)
