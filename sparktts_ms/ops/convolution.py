"""Convolutions over time. `mint`'s have no CPU kernel, so these are the 2-D operators with a height of one.

On the CPU a broadcasting multiplication or addition keeps an index table of 16 bytes an element and spends a third of a
second on making it (7.7 M elements), so bias and per-channel scale are BiasAdd and inference-mode BatchNorm, which do not.
"""

import numpy as np
from mindspore import Tensor, nn, ops

from sparktts_ms.ops.parameter import weight


class Conv1d(nn.Cell):
    """`kernel` [O, I / groups, K] as checkpoints hold it; zeros are padded on both sides."""

    def __init__(self, kernel: np.ndarray, bias: np.ndarray, stride: int = 1, padding: int = 0, dilation: int = 1,
                 groups: int = 1):
        super().__init__()
        outputs, _, taps = kernel.shape
        self.kernel = weight(kernel[:, :, None, :])
        self.bias = weight(bias)
        self.add = ops.BiasAdd()
        self.convolve = ops.Conv2D(outputs, (1, taps), pad_mode="pad", pad=(0, 0, padding, padding),
                                   stride=(1, stride), dilation=(1, dilation), group=groups)

    def construct(self, x: Tensor) -> Tensor:
        # x [1, I, 1, T] -> [1, O, 1, T']
        return self.add(self.convolve(x, self.kernel), self.bias)


class ConvTranspose1d(nn.Cell):
    """Upsampling by `stride`; `kernel` [I, O, K] as checkpoints hold it, K - stride even, so T' = stride T exactly."""

    def __init__(self, kernel: np.ndarray, bias: np.ndarray, stride: int):
        super().__init__()
        inputs, self.outputs, taps = kernel.shape
        padding = (taps - stride) // 2
        self.stride = stride
        self.kernel = weight(kernel[:, :, None, :])
        self.bias = weight(bias)
        self.add = ops.BiasAdd()
        self.spread = ops.Conv2DTranspose(inputs, (1, taps), pad_mode="pad", pad=(0, 0, padding, padding),
                                          stride=(1, stride))

    def construct(self, x: Tensor) -> Tensor:
        # x [1, I, 1, T] -> [1, O, 1, stride T]
        y = self.spread(x, self.kernel, (1, self.outputs, 1, self.stride * x.shape[3]))
        return self.add(y, self.bias)


class ChannelScale(nn.Cell):
    """y = x scale + shift with one pair per channel."""

    def __init__(self, scale: np.ndarray, shift: np.ndarray | None = None):
        super().__init__()
        eps = 2.0**-16                  # variance + eps is exactly one
        self.scale = weight(scale)
        self.shift = weight(np.zeros_like(scale) if shift is None else shift)
        self.mean = weight(np.zeros_like(scale))
        self.variance = weight(np.full_like(scale, 1.0 - eps))
        self.normalise = ops.BatchNorm(is_training=False, epsilon=eps)

    def construct(self, x: Tensor) -> Tensor:
        # x [1, C, 1, T] -> [1, C, 1, T]
        return self.normalise(x, self.scale, self.shift, self.mean, self.variance)[0]
