"""Rotary positions, half-split convention: dimension i pairs with i + head_dim / 2. Source: arXiv 2104.09864."""

from __future__ import annotations

import numpy as np


def rotary_tables(positions: int, head_dim: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin [positions, head_dim] of every angle, computed in float64."""
    frequency = theta ** (-np.arange(0, head_dim, 2) / head_dim)
    angles = np.tile(np.outer(np.arange(positions), frequency), 2)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
