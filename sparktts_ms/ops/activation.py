"""Activations whose CPU kernels need care."""

import numpy as np
from mindspore import Tensor, nn, ops

from sparktts_ms.ops.convolution import ChannelScale
from sparktts_ms.ops.native.library import kernel
from sparktts_ms.ops.parameter import weight


class GELU(nn.Cell):
    """The exact erf form. `ops.GeLU` is the tanh approximation, 5e-4 off; `ops.gelu` broadcasts its constants."""

    def __init__(self):
        super().__init__()
        self.fused = kernel("gelu", lambda x: x, lambda x: x)

    def construct(self, x: Tensor) -> Tensor:
        return self.fused(x) if self.fused is not None else x * 0.5 * (ops.erf(x * 2**-0.5) + 1.0)


def tanh(x: Tensor) -> Tensor:
    """`ops.tanh` on the CPU is a rational approximation, 1e-4 off; this is within 2e-6."""
    return 2.0 * ops.sigmoid(2.0 * x) - 1.0


class Snake(nn.Cell):
    """u + sin(u)^2 with u = frequency x, one frequency per channel.

    The snake of Spark-TTS is this divided by the frequency; that factor belongs to the convolution that follows.
    """

    def __init__(self, frequency: np.ndarray):
        super().__init__()
        self.fused = kernel("snake", lambda x, frequency: x, lambda x, frequency: x)
        if self.fused is None:
            self.scale = ChannelScale(frequency)
        else:
            self.frequency = weight(frequency)

    def construct(self, x: Tensor) -> Tensor:
        # x [1, C, 1, T] -> [1, C, 1, T]
        if self.fused is not None:
            return self.fused(x, self.frequency)
        u = self.scale(x)
        return u + ops.square(ops.sin(u))


class SwiGLU(nn.Cell):
    """silu(gate) * up of rows that hold both, gate first."""

    def __init__(self):
        super().__init__()
        self.fused = kernel("swiglu", lambda x: [x[0], x[1] // 2], lambda x: x)

    def construct(self, x: Tensor) -> Tensor:
        # x [T, 2 I] -> [T, I]
        if self.fused is not None:
            return self.fused(x)
        inner = x.shape[1] // 2
        return ops.silu(x[:, :inner]) * x[:, inner:]
