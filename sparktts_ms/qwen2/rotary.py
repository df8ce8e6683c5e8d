"""Rotary positions, half-split convention: dimension i pairs with i + head_dim / 2. Source: arXiv 2104.09864."""

from __future__ import annotations

import numpy as np


def rotary_tables(positions: int, head_dim: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin [positions, head_dim] of every angle, computed in float64."""
    frequency = theta ** (-np.arange(0, head_dim, 2) / head_dim)
    angles = np.tile(np.outer(np.arange(positions), frequency), 2)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def half_turn(head_dim: int) -> np.ndarray:
    """The matrix R [head_dim, head_dim] with x R = (-second half, first half): a quarter turn of every pair.

    As a product it is one operator where slicing, negating and joining are four."""
    half = head_dim // 2
    turn = np.zeros((head_dim, head_dim), np.float32)
    turn[np.arange(half, head_dim), np.arange(half)] = -1.0
    turn[np.arange(half), np.arange(half, head_dim)] = 1.0
    return turn
