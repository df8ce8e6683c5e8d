"""Convolutions over time, in the layout that is fastest on each device.

The convolution layout is [T, C] with the CPU kernels (native/convolution.cc) and a *plane*
[1, C, 1, T] elsewhere, since `mint`'s 1-D convolutions have no CPU kernel and the 2-D operators
with a height of one run everywhere. `to_conv_layout` and `to_frames` convert at the ends of a
network. Frames outside an utterance are zeros.

On MindSpore's CPU backend a broadcasting multiplication or addition builds an index table of 16
bytes an element (a third of a second for 7.7 M elements), so bias and per-channel scale of planes
are BiasAdd and inference-mode BatchNorm, which do not.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from mindspore import Tensor, nn, ops

from sparktts_ms.ops import toom_cook
from sparktts_ms.ops.activation import GELU, Snake
from sparktts_ms.ops.native import library
from sparktts_ms.ops.native.library import custom_op
from sparktts_ms.ops.parameter import weight


class SnakeConvWeights(NamedTuple):
    """A convolution after a snake: kernel [O, I, K] divided by alpha, bias [O], alpha [I]."""

    kernel: np.ndarray
    bias: np.ndarray
    alpha: np.ndarray


def to_conv_layout(frames: Tensor) -> Tensor:
    """[T, C] -> convolution layout."""
    if library.enabled():
        return frames
    return frames.transpose(1, 0).reshape(1, frames.shape[1], 1, frames.shape[0])


def to_frames(x: Tensor) -> Tensor:
    """Convolution layout -> [T, C]."""
    return x if library.enabled() else x.reshape(x.shape[1], -1).transpose(1, 0)


class NativeOp(nn.Cell):
    """A CPU kernel (see native/) that is given its constants after the input."""

    def __init__(self, name: str, *constants: np.ndarray, columns: int | None = None,
                 rows: Callable[[int], int] | None = None):
        super().__init__()
        self.kernel = custom_op(name, columns, rows)
        self.constants = [weight(constant) for constant in constants]

    def construct(self, x: Tensor) -> Tensor:
        return self.kernel(x, *self.constants)


def conv(kernel: np.ndarray, bias: np.ndarray, stride: int = 1, padding: int = 0,
         alpha: np.ndarray | None = None) -> nn.Cell:
    """A convolution in convolution layout; kernel [O, I, K], zero padding on both sides.

    alpha [I]: the input passes a snake first, u + sin(u)^2 with u = alpha x. The snake of Spark-TTS
    is this divided by alpha; that factor belongs into `kernel`.
    """
    outputs, inputs, size = kernel.shape
    if not library.enabled():
        plain = Conv1d(kernel, bias, stride, padding)
        return plain if alpha is None else nn.SequentialCell(Snake(alpha), plain)
    matrix = library.pack(kernel.transpose(0, 2, 1).reshape(outputs, -1))
    snake = np.zeros(inputs, np.float32) if alpha is None else alpha
    return NativeOp("conv", matrix, bias, snake,
                    geometry(size, stride, padding, alpha is not None), columns=outputs,
                    rows=lambda frames: (frames + 2 * padding - size) // stride + 1)


def conv7(kernel: np.ndarray, bias: np.ndarray) -> nn.Cell:
    """A convolution of kernel size 7, with fewer products on the CPU (see toom_cook.py)."""
    if library.enabled():
        return NativeOp("conv7", pack_filters(kernel), bias, toom_cook.TRANSFORMS,
                        columns=len(kernel))
    return Conv1d(kernel, bias, padding=3)


def upsample(weights: SnakeConvWeights, stride: int) -> nn.Cell:
    """Snake, then transposed convolution to stride T frames; kernel [I, O, K], K - stride even."""
    kernel, bias, alpha = weights
    if not library.enabled():
        return nn.SequentialCell(Snake(alpha), ConvTranspose1d(kernel, bias, stride))
    _, outputs, size = kernel.shape
    padding = (size - stride) // 2
    matrices = []       # of each output phase, its taps from the earliest input to the latest
    for phase in range(stride):
        taps = kernel[:, :, (phase + padding) % stride::stride][:, :, ::-1]
        matrices.append(library.pack(taps.transpose(1, 2, 0).reshape(outputs, -1)))
    return NativeOp("conv_transpose", np.concatenate(matrices), bias, alpha,
                    geometry(size, stride, padding, True), columns=outputs,
                    rows=lambda frames: frames * stride)


def residual_unit(conv1: SnakeConvWeights, conv2: SnakeConvWeights, dilation: int) -> nn.Cell:
    """x + conv2(snake(conv1(snake(x)))): conv1 [C, C, 7] is dilated, conv2 is [C, C, 1]."""
    if not library.enabled():
        return ResidualUnit(conv1, conv2, dilation)
    return NativeOp("residual_unit", pack_filters(conv1.kernel), conv1.bias, conv1.alpha,
                    library.pack(conv2.kernel[:, :, 0]), conv2.bias, conv2.alpha,
                    toom_cook.TRANSFORMS, np.array([dilation], np.int32))


class ResidualUnit(nn.Cell):
    """`residual_unit` on planes."""

    def __init__(self, conv1: SnakeConvWeights, conv2: SnakeConvWeights, dilation: int):
        super().__init__()
        self.snake1 = Snake(conv1.alpha)
        self.conv1 = Conv1d(conv1.kernel, conv1.bias, 1, 3 * dilation, dilation)
        self.snake2 = Snake(conv2.alpha)
        self.conv2 = Conv1d(conv2.kernel, conv2.bias)

    def construct(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.snake2(self.conv1(self.snake1(x))))


class FrameConv(nn.Cell):
    """A convolution of frames [T, C]; kernel [O, I / groups, K], K odd, groups 1 or O = I."""

    def __init__(self, kernel: np.ndarray, bias: np.ndarray, groups: int = 1):
        super().__init__()
        padding = kernel.shape[2] // 2
        if not library.enabled():
            self.conv = Conv1d(kernel, bias, padding=padding, groups=groups)
        elif groups > 1:
            self.conv = NativeOp("depthwise_conv", kernel[:, 0].T, bias)
        else:
            self.conv = conv(kernel, bias, padding=padding)

    def construct(self, x: Tensor, mask: Tensor | None) -> Tensor:
        # x [T, I], mask [T, 1] (1 for a valid frame, 0 for padding; None: all are valid) -> [T, O]
        return to_frames(self.conv(to_conv_layout(x if mask is None else x * mask)))


class PositionalConv(nn.Cell):
    """wav2vec 2.0's positional embedding: x + GELU of a grouped convolution of frames with a large
    kernel. The extra last frame of an even kernel is dropped."""

    def __init__(self, kernel: np.ndarray, bias: np.ndarray, groups: int):
        super().__init__()
        channels, group_channels, size = kernel.shape
        self.native = library.enabled()
        self.activation = GELU()
        if not self.native:
            self.conv = Conv1d(kernel, bias, padding=size // 2, groups=groups)
            return
        matrices = []
        for group in kernel.reshape(groups, channels // groups, group_channels, size):
            matrix = group.transpose(0, 2, 1).reshape(channels // groups, -1)
            matrices.append(library.pack(matrix))
        self.conv = NativeOp("positional_conv", np.concatenate(matrices), bias,
                             geometry(size, 1, size // 2, False), np.array([groups], np.int32))

    def construct(self, x: Tensor, mask: Tensor | None) -> Tensor:
        # x [T, C], mask [T, 1] or None, which it is with the CPU kernels -> [T, C]
        if self.native:
            return self.conv(x)
        y = self.conv(to_conv_layout(x if mask is None else x * mask))
        return x + self.activation(to_frames(y)[:x.shape[0]])


class Conv1d(nn.Cell):
    """A convolution of planes; kernel [O, I / groups, K]."""

    def __init__(self, kernel: np.ndarray, bias: np.ndarray, stride: int = 1, padding: int = 0,
                 dilation: int = 1, groups: int = 1):
        super().__init__()
        outputs, _, size = kernel.shape
        self.kernel = weight(kernel[:, :, None, :])
        self.bias = weight(bias)
        self.bias_add = ops.BiasAdd()
        self.conv = ops.Conv2D(outputs, (1, size), pad_mode="pad", pad=(0, 0, padding, padding),
                               stride=(1, stride), dilation=(1, dilation), group=groups)

    def construct(self, x: Tensor) -> Tensor:
        # x [1, I, 1, T] -> [1, O, 1, T']
        return self.bias_add(self.conv(x, self.kernel), self.bias)


class ConvTranspose1d(nn.Cell):
    """Upsampling of planes by `stride`; kernel [I, O, K], K - stride even, so T' = stride T."""

    def __init__(self, kernel: np.ndarray, bias: np.ndarray, stride: int):
        super().__init__()
        inputs, self.outputs, size = kernel.shape
        padding = (size - stride) // 2
        self.stride = stride
        self.kernel = weight(kernel[:, :, None, :])
        self.bias = weight(bias)
        self.bias_add = ops.BiasAdd()
        self.conv = ops.Conv2DTranspose(inputs, (1, size), pad_mode="pad",
                                        pad=(0, 0, padding, padding), stride=(1, stride))

    def construct(self, x: Tensor) -> Tensor:
        # x [1, I, 1, T] -> [1, O, 1, stride T]
        y = self.conv(x, self.kernel, (1, self.outputs, 1, self.stride * x.shape[3]))
        return self.bias_add(y, self.bias)


def geometry(kernel_size: int, stride: int, padding: int, snake: bool) -> np.ndarray:
    """How a convolution kernel reads its input, int32 [4]."""
    return np.array([kernel_size, stride, padding, snake], np.int32)


def pack_filters(kernel: np.ndarray) -> np.ndarray:
    """A kernel [O, I, 7] transformed for Toom-Cook and packed."""
    filters = toom_cook.transform_filters(kernel)
    return np.concatenate([library.pack(matrix) for matrix in filters])
