"""Normalisation over the last axis."""

from __future__ import annotations

import math

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, nn, ops

from sparktts_ms.ops import ascend
from sparktts_ms.ops.activation import GELU
from sparktts_ms.ops.native.library import custom_op
from sparktts_ms.ops.parameter import weight
from sparktts_ms.weights.checkpoint import Checkpoint

SHORTEST = 1e-12        # length by which a shorter row is divided


class LayerNorm(nn.Cell):
    """LayerNorm of rows; gain and bias are constants, or arguments of each call."""

    def __init__(self, gain: np.ndarray | None, bias: np.ndarray | None, eps: float,
                 gelu: bool = False):
        super().__init__()
        self.gain = None if gain is None else weight(gain)
        self.bias = None if bias is None else weight(bias)
        self.gelu = gelu
        self.activation = GELU()
        self.ascend = ascend.on_ascend()
        self.epsilon = eps
        self.eps = Tensor(np.array([eps], np.float32))
        self.fused = custom_op("layer_norm_gelu" if gelu else "layer_norm")
        self.normalize = ops.LayerNorm(begin_norm_axis=1, begin_params_axis=1, epsilon=eps)

    @classmethod
    def load(cls, weights: Checkpoint, size: int, eps: float, gelu: bool = False) -> LayerNorm:
        """The norm stored as `weight` and `bias` [size]."""
        return cls(weights.take("weight", size), weights.take("bias", size), eps, gelu)

    def construct(self, x: Tensor, gain: Tensor | None = None,
                  bias: Tensor | None = None) -> Tensor:
        # x [T, C], gain and bias [C] -> [T, C]
        gain = self.gain if gain is None else gain
        bias = self.bias if bias is None else bias
        if self.fused is not None:
            return self.fused(x, gain, bias, self.eps)
        if self.ascend:
            y = mint.nn.functional.layer_norm(x, x.shape[1:], gain, bias, self.epsilon)
        else:
            y = self.normalize(x, gain, bias)[0]
        return self.activation(y) if self.gelu else y


class RMSNorm(nn.Cell):
    """x / sqrt(mean(x^2) + eps) on rows, times a gain where one is given. Source: arXiv 1910.07467.

    In inference the gain is folded into the linear layer that follows. In training it is an
    argument, and mean and gain are matrix products: on MindSpore's CPU backend broadcasting, and
    the gradient of it, are ten to fifty times slower.
    """

    def __init__(self, eps: float, size: int = 0, dtype: str = "float32"):
        super().__init__()
        self.eps = eps
        self.ascend = size > 0 and ascend.on_ascend()
        if self.ascend:
            self.ones = Tensor(np.ones(size, np.float32)).astype(getattr(ms, dtype))
        self.mean = ops.ReduceMean(keep_dims=True)
        self.matmul = ops.MatMul()

    def construct(self, x: Tensor, gain: Tensor | None = None) -> Tensor:
        # x [T, C], gain [C] -> [T, C]
        if gain is None and self.ascend:
            return ops.rms_norm(x, self.ones, self.eps)[0]      # after a sum, one operator with it
        if gain is None:
            return x * ops.rsqrt(self.mean(x * x, -1) + self.eps)
        size = x.shape[-1]
        mean_square = self.matmul(x * x, ops.full((size, 1), 1.0 / size, dtype=x.dtype))
        return x * self.matmul(ops.rsqrt(mean_square + self.eps), gain.reshape(1, size))


class UnitNorm(nn.Cell):
    """Rows divided by their lengths, times a gain."""

    def __init__(self, gain: np.ndarray):
        super().__init__()
        self.ascend = ascend.on_ascend()
        size = len(gain)
        self.gain = weight(gain / np.float32(math.sqrt(size)) if self.ascend else gain)
        self.sum = ops.ReduceSum(keep_dims=True)
        self.eps = SHORTEST**2 / size

    def construct(self, x: Tensor) -> Tensor:
        # x [T, C] -> [T, C]
        if self.ascend:
            return ops.rms_norm(x, self.gain, self.eps)[0]
        length = ops.sqrt(self.sum(x * x, -1))
        return x / ops.maximum(length, SHORTEST) * self.gain
