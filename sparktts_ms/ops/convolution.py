"""Convolutions over time, in the layout that is fastest on each device.

The convolution layout is [T, C] with the CPU kernels (native/convolution.cc) and a *plane*
[1, C, 1, T] elsewhere, since `mint`'s 1-D convolutions have no CPU kernel and the 2-D operators
with a height of one run everywhere. `to_conv_layout` and `to_frames` convert at the ends of a
network. Frames outside an utterance are zeros.

On MindSpore's CPU backend a broadcasting multiplication or addition builds an index table of 16
bytes an element (a third of a second for 7.7 M elements), so bias and per-channel scale of planes
are BiasAdd and inference-mode BatchNorm, which do not.
"""

from typing import NamedTuple

import numpy as np
from mindspore import Tensor, nn, ops

from sparktts_ms.ops import toom_cook
from sparktts_ms.ops.activation import GELU, Snake
from sparktts_ms.ops.native import library
from sparktts_ms.ops.native.library import custom_op
from sparktts_ms.ops.parameter import weight


class SnakeConvWeights(NamedTuple):
    """A convolution whose input passes a snake: kernel [O, I, K] divided by alpha, bias [O], and
    the snake's alpha [I]."""

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


class Conv(nn.Cell):
    """A convolution in convolution layout; `kernel` [O, I, K], zero padding on both sides.

    alpha [I]: the input passes a snake first, u + sin(u)^2 with u = alpha x. The snake of Spark-TTS
    is this divided by alpha; that factor belongs into `kernel`. A second argument of `construct` is
    added to the result.
    """

    def __init__(self, kernel: np.ndarray, bias: np.ndarray, stride: int = 1, padding: int = 0,
                 dilation: int = 1, alpha: np.ndarray | None = None):
        super().__init__()
        outputs, inputs, size = kernel.shape
        self.native = library.enabled()
        self.has_snake = alpha is not None
        alpha = np.zeros(inputs, np.float32) if alpha is None else alpha
        if not self.native:
            self.conv = Conv1d(kernel, bias, stride, padding, dilation)
            self.snake = Snake(alpha)
            return

        def output_frames(frames):
            return (frames + 2 * padding - dilation * (size - 1) - 1) // stride + 1

        self.weight = weight(library.pack(kernel.transpose(0, 2, 1).reshape(outputs, -1)))
        self.bias = weight(bias)
        self.alpha = weight(alpha)
        self.geometry = geometry(size, stride, dilation, padding, self.has_snake)
        self.fused = custom_op("conv", outputs, output_frames)
        self.fused_add = custom_op("conv_add", outputs, output_frames)

    def construct(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        if self.native:
            if residual is None:
                return self.fused(x, self.weight, self.bias, self.alpha, self.geometry)
            return self.fused_add(x, self.weight, self.bias, self.alpha, self.geometry, residual)
        y = self.conv(self.snake(x) if self.has_snake else x)
        return y if residual is None else residual + y


class Conv7(nn.Cell):
    """A convolution of kernel size 7, with fewer products where the CPU kernels are (toom_cook)."""

    def __init__(self, kernel: np.ndarray, bias: np.ndarray):
        super().__init__()
        self.native = library.enabled()
        if self.native:
            self.filters = weight(pack_filters(kernel))
            self.bias = weight(bias)
            self.transforms = Tensor(toom_cook.TRANSFORMS)
            self.fused = custom_op("conv7", kernel.shape[0])
        else:
            self.conv = Conv1d(kernel, bias, padding=3)

    def construct(self, x: Tensor) -> Tensor:
        if self.native:
            return self.fused(x, self.filters, self.bias, self.transforms)
        return self.conv(x)


class ResidualUnit(nn.Cell):
    """x + conv2(snake(conv1(snake(x)))): conv1 [C, C, 7] is dilated, conv2 is [C, C, 1]."""

    def __init__(self, conv1: SnakeConvWeights, conv2: SnakeConvWeights, dilation: int):
        super().__init__()
        self.native = library.enabled()
        if self.native:
            matrix = library.pack(conv2.kernel[:, :, 0])
            self.constants = [weight(pack_filters(conv1.kernel)), weight(conv1.bias),
                              weight(conv1.alpha), weight(matrix), weight(conv2.bias),
                              weight(conv2.alpha)]
            self.transforms = Tensor(toom_cook.TRANSFORMS)
            self.dilation = Tensor(np.array([dilation], np.int32))
            self.fused = custom_op("residual_unit")
        else:
            self.conv1 = Conv(conv1.kernel, conv1.bias, 1, 3 * dilation, dilation, conv1.alpha)
            self.conv2 = Conv(conv2.kernel, conv2.bias, alpha=conv2.alpha)

    def construct(self, x: Tensor) -> Tensor:
        if self.native:
            return self.fused(x, *self.constants, self.transforms, self.dilation)
        return self.conv2(self.conv1(x), x)


class Upsample(nn.Cell):
    """Snake, then transposed convolution by `stride`; kernel [I, O, K], K - stride even, so
    T' = stride T exactly."""

    def __init__(self, weights: SnakeConvWeights, stride: int):
        super().__init__()
        kernel = weights.kernel
        _, outputs, size = kernel.shape
        self.native = library.enabled()
        if not self.native:
            self.snake = Snake(weights.alpha)
            self.conv = ConvTranspose1d(kernel, weights.bias, stride)
            return
        padding = (size - stride) // 2
        matrices = []       # of each output phase, its taps from the earliest input to the latest
        for phase in range(stride):
            taps = kernel[:, :, (phase + padding) % stride::stride][:, :, ::-1]
            matrices.append(library.pack(taps.transpose(1, 2, 0).reshape(outputs, -1)))
        self.weight = weight(np.concatenate(matrices))
        self.bias = weight(weights.bias)
        self.alpha = weight(weights.alpha)
        self.geometry = geometry(size, stride, 1, padding, True)
        self.fused = custom_op("conv_transpose", outputs, lambda frames: frames * stride)

    def construct(self, x: Tensor) -> Tensor:
        if self.native:
            return self.fused(x, self.weight, self.bias, self.alpha, self.geometry)
        return self.conv(self.snake(x))


class FrameConv(nn.Cell):
    """A convolution of frames [T, C]; kernel [O, I / groups, K], K odd, groups 1 or O = I."""

    def __init__(self, kernel: np.ndarray, bias: np.ndarray, groups: int = 1):
        super().__init__()
        padding = kernel.shape[2] // 2
        self.native = library.enabled()
        self.depthwise = groups > 1
        if not self.native:
            self.conv = Conv1d(kernel, bias, padding=padding, groups=groups)
        elif self.depthwise:
            self.filters = weight(np.ascontiguousarray(kernel[:, 0].T))
            self.bias = weight(bias)
            self.fused = custom_op("depthwise_conv")
        else:
            self.conv = Conv(kernel, bias, padding=padding)

    def construct(self, x: Tensor, mask: Tensor | None) -> Tensor:
        # x [T, I], mask [T, 1] (1 for a valid frame, 0 for padding; None: all are valid) -> [T, O]
        x = x if mask is None else x * mask
        if not self.native:
            return to_frames(self.conv(to_conv_layout(x)))
        return self.fused(x, self.filters, self.bias) if self.depthwise else self.conv(x)


class PositionalConv(nn.Cell):
    """x + GELU of a grouped convolution of frames with a large kernel, wav2vec 2.0's positional
    embedding; the extra last frame of an even kernel is dropped."""

    def __init__(self, kernel: np.ndarray, bias: np.ndarray, groups: int):
        super().__init__()
        channels, group_channels, size = kernel.shape
        self.native = library.enabled()
        if not self.native:
            self.conv = Conv1d(kernel, bias, padding=size // 2, groups=groups)
            self.activation = GELU()
            return
        matrices = []
        for group in kernel.reshape(groups, channels // groups, group_channels, size):
            matrix = group.transpose(0, 2, 1).reshape(channels // groups, -1)
            matrices.append(library.pack(matrix))
        self.weight = weight(np.concatenate(matrices))
        self.bias = weight(bias)
        self.geometry = geometry(size, 1, 1, size // 2, False)
        self.groups = Tensor(np.array([groups], np.int32))
        self.fused = custom_op("positional_conv")

    def construct(self, x: Tensor, mask: Tensor | None) -> Tensor:
        # x [T, C], mask [T, 1] or None -> [T, C]
        if self.native and mask is None:
            return self.fused(x, self.weight, self.bias, self.geometry, self.groups)
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


def geometry(kernel_size: int, stride: int, dilation: int, padding: int, snake: bool) -> Tensor:
    """What the convolution kernels need to know, int32 [5]."""
    return Tensor(np.array([kernel_size, stride, dilation, padding, snake], np.int32))


def pack_filters(kernel: np.ndarray) -> np.ndarray:
    """A kernel [O, I, 7] transformed for Toom-Cook and packed."""
    filters = toom_cook.transform_filters(kernel)
    return np.concatenate([library.pack(matrix) for matrix in filters])
