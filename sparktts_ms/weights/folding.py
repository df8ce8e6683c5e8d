"""What training kept apart and inference computes once: weight norm and batch norm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparktts_ms.weights.source import WeightSource


def weight_norm(source: WeightSource, *shape: int, gain_axes: Sequence[int] = (0,)) -> np.ndarray:
    """w = g v / ||v|| of the pair `weight_g`, `weight_v`; the norm runs over every axis but `gain_axes`.

    For a transposed convolution axis 0 is the input channel; wav2vec2's positional convolution keeps axis 2.
    """
    gains = tuple(size if axis in gain_axes else 1 for axis, size in enumerate(shape))
    direction = source.take("weight_v", *shape)
    length = np.sqrt(np.square(direction, dtype=np.float64).sum(
        axis=tuple(a for a in range(len(shape)) if a not in gain_axes), keepdims=True))
    return (direction * (source.take("weight_g", *gains) / length)).astype(np.float32)


def batch_norm(source: WeightSource, channels: int, eps: float = 1e-5) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift [C] of a batch norm in inference: y = x scale + shift."""
    scale = source.take("weight", channels) / np.sqrt(source.take("running_var", channels) + eps)
    return scale, source.take("bias", channels) - source.take("running_mean", channels) * scale
