"""Activations whose operators on MindSpore's CPU backend are inexact or slow."""

import numpy as np
from mindspore import Tensor, nn, ops

from sparktts_ms.ops.parameter import weight


class GELU(nn.Cell):
    """The exact form. `ops.GeLU` is the tanh approximation; `ops.gelu` broadcasts constants."""

    def construct(self, x: Tensor) -> Tensor:
        return x * 0.5 * (ops.erf(x * 2**-0.5) + 1.0)


def tanh(x: Tensor) -> Tensor:
    """`ops.tanh` on the CPU is a rational approximation, 1e-4 off; this is within 2e-6."""
    return 2.0 * ops.sigmoid(2.0 * x) - 1.0


class ChannelScale(nn.Cell):
    """y = x scale + shift for each channel of planes, by a batch norm of mean 0, variance 1."""

    def __init__(self, scale: np.ndarray, shift: np.ndarray | None = None):
        super().__init__()
        eps = 2.0**-16                  # variance + eps is exactly one
        self.scale = weight(scale)
        self.shift = weight(np.zeros_like(scale) if shift is None else shift)
        self.mean = weight(np.zeros_like(scale))
        self.variance = weight(np.full_like(scale, 1.0 - eps))
        self.normalize = ops.BatchNorm(is_training=False, epsilon=eps)

    def construct(self, x: Tensor) -> Tensor:
        # x [1, C, 1, T] -> [1, C, 1, T]
        return self.normalize(x, self.scale, self.shift, self.mean, self.variance)[0]


class Snake(nn.Cell):
    """u + sin(u)^2 with u = alpha x, one alpha for each channel, on planes. The division by alpha
    is folded into the kernel that follows. Source: arXiv 2006.08195."""

    def __init__(self, alpha: np.ndarray):
        super().__init__()
        self.scale = ChannelScale(alpha)

    def construct(self, x: Tensor) -> Tensor:
        # x [1, C, 1, T] -> [1, C, 1, T]
        u = self.scale(x)
        return u + ops.square(ops.sin(u))
