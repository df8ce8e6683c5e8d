"""Activations whose operators on MindSpore's CPU backend are inexact or slow."""

import numpy as np
from mindspore import Tensor, mint, nn, ops

from sparktts_ms.ops.ascend import on_ascend
from sparktts_ms.ops.parameter import weight

_on_ascend = ops.constexpr(on_ascend)       # may be called within a graph


class GELU(nn.Cell):
    """The exact form. `ops.GeLU` is the tanh approximation; `ops.gelu` broadcasts constants;
    `mint`'s has no CPU kernel."""

    def __init__(self):
        super().__init__()
        self.fused = on_ascend()

    def construct(self, x: Tensor) -> Tensor:
        if self.fused:
            return mint.nn.functional.gelu(x)
        return x * 0.5 * (ops.erf(x * 2**-0.5) + 1.0)


def tanh(x: Tensor) -> Tensor:
    """`ops.tanh` on the CPU is a rational approximation, 1e-4 off; this is within 2e-6."""
    if _on_ascend():
        return mint.tanh(x)
    return 2.0 * ops.sigmoid(2.0 * x) - 1.0


class ChannelScale(nn.Cell):
    """y = x scale + shift for each channel of planes, on the CPU by a batch norm of mean 0 and
    variance 1."""

    def __init__(self, scale: np.ndarray, shift: np.ndarray):
        super().__init__()
        self.ascend = on_ascend()
        if self.ascend:
            self.scale = weight(scale[:, None, None])
            self.shift = weight(shift[:, None, None])
            return
        eps = 2.0**-16                  # variance + eps is exactly one
        self.scale = weight(scale)
        self.shift = weight(shift)
        self.mean = weight(np.zeros_like(scale))
        self.variance = weight(np.full_like(scale, 1.0 - eps))
        self.normalize = ops.BatchNorm(is_training=False, epsilon=eps)

    def construct(self, x: Tensor) -> Tensor:
        # x [1, C, 1, T] -> [1, C, 1, T]
        if self.ascend:
            return mint.addcmul(self.shift, x, self.scale)
        return self.normalize(x, self.scale, self.shift, self.mean, self.variance)[0]


class Snake(nn.Cell):
    """u + sin(u)^2 with u = alpha x, one alpha for each channel, on planes. The division by alpha
    is folded into the kernel that follows. Source: arXiv 2006.08195."""

    def __init__(self, alpha: np.ndarray):
        super().__init__()
        self.ascend = on_ascend()
        if self.ascend:
            self.alpha = weight(alpha[:, None, None])
        else:
            self.scale = ChannelScale(alpha, np.zeros_like(alpha))

    def construct(self, x: Tensor) -> Tensor:
        # x [1, C, 1, T] -> [1, C, 1, T]
        if self.ascend:
            return scaled_snake(x * self.alpha)
        u = self.scale(x)
        return u + ops.square(ops.sin(u))


def scaled_snake(u: Tensor) -> Tensor:
    """The snake of a signal that has been multiplied by alpha, as two launches on Ascend."""
    sine = mint.sin(u)
    return mint.addcmul(u, sine, sine)
