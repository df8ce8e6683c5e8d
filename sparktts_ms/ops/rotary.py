"""Rotary position embeddings, half-split convention: dimension i pairs with i + head_dim / 2.

Source: arXiv 2104.09864.
"""

import numpy as np


def rotary_tables(length: int, head_dim: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin [length, head_dim] of every angle, float32, computed in float64."""
    frequencies = theta ** (-np.arange(0, head_dim, 2) / head_dim)
    angles = np.tile(np.outer(np.arange(length), frequencies), 2)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def rotate_half_matrix(head_dim: int) -> np.ndarray:
    """The matrix R [head_dim, head_dim] with x R = (-second half of x, first half of x).

    As a product it is one operator where slicing, negating and concatenating are four.
    """
    half = np.arange(head_dim // 2)
    matrix = np.zeros((head_dim, head_dim), np.float32)
    matrix[half + head_dim // 2, half] = -1.0
    matrix[half, half + head_dim // 2] = 1.0
    return matrix
