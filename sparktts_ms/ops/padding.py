"""Fixed sizes that utterances of any length are padded to, so that the number of compiled graphs is bounded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PROMPT_FRAME_BUCKETS = (150, 300, 450, 600, 900, 1500)     # 50 Hz frames of a recording: 3, 6, 9, 12, 18 and 30 s


def padded_length(length: int, sizes: Sequence[int]) -> int:
    """The smallest of the ascending `sizes` that holds `length`; beyond the largest, whole multiples of it."""
    for size in sizes:
        if length <= size:
            return size
    return -(-length // sizes[-1]) * sizes[-1]


def pad_rows(rows: np.ndarray, length: int) -> np.ndarray:
    """`rows` [T, ...] with zeros after it up to `length`."""
    padded = np.zeros((length, *rows.shape[1:]), rows.dtype)
    padded[:len(rows)] = rows
    return padded


def row_mask(real: int, length: int) -> np.ndarray:
    """[length, 1] float32: 1 for the first `real` rows, 0 for the rest."""
    return (np.arange(length)[:, None] < real).astype(np.float32)
