"""Convolutions over time, in the layout that is fastest on each device.

The convolution layout is [T, C] with the CPU kernels (native/convolution.cc) and a *plane*
[1, C, 1, T] elsewhere (planes.py). `to_conv_layout` and `to_frames` convert at the ends of a
network. Frames outside an utterance are zeros.
"""

from collections.abc import Callable, Iterable

import numpy as np
from mindspore import Tensor, mint, nn

from sparktts_ms.ops import toom_cook
from sparktts_ms.ops.activation import GELU, Snake
from sparktts_ms.ops.ascend import on_ascend
from sparktts_ms.ops.native import library
from sparktts_ms.ops.native.library import custom_op
from sparktts_ms.ops.parameter import weight
from sparktts_ms.ops.planes import Conv1d, ConvTranspose1d, frames_to_plane, plane_to_frames
from sparktts_ms.ops.residual_unit import (
    ResidualUnit,
    ResidualUnitWeights,
    SnakeConvWeights,
    scaled_stage,
)


def to_conv_layout(frames: Tensor) -> Tensor:
    """[T, C] -> convolution layout."""
    return frames if library.enabled() else frames_to_plane(frames)


def to_frames(x: Tensor) -> Tensor:
    """Convolution layout -> [T, C]."""
    return x if library.enabled() else plane_to_frames(x)


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
    matrix = pack_kernel(kernel)
    snake = np.zeros(inputs, np.float32) if alpha is None else alpha
    return NativeOp("conv", matrix, bias, snake,
                    geometry(size, stride, padding, alpha is not None), columns=outputs,
                    rows=lambda frames: (frames + 2 * padding - size) // stride + 1)


def conv7(kernel: np.ndarray, bias: np.ndarray, tiles: bool = False) -> nn.Cell:
    """A convolution of kernel size 7, on CPUs with fewer products (toom_cook.py) or, if `tiles`, by
    AMX."""
    if tiles:
        return conv(kernel, bias, padding=3)
    if library.enabled():
        return NativeOp("conv7", pack_filters(kernel), bias, toom_cook.TRANSFORMS,
                        columns=len(kernel))
    return Conv1d(kernel, bias, padding=3)


def upsample(weights: SnakeConvWeights, stride: int, tiles: bool = False) -> nn.Cell:
    """Snake, then transposed convolution to stride T frames; kernel [I, O, K], K - stride even.
    tiles: see `upsampling_stage`."""
    kernel, bias, alpha = weights
    if not library.enabled():
        return nn.SequentialCell(Snake(alpha), ConvTranspose1d(kernel, bias, stride))
    _, outputs, size = kernel.shape
    padding = (size - stride) // 2
    matrices = []       # of each output phase, its taps from the earliest input to the latest
    for phase in range(stride):
        taps = kernel[:, :, (phase + padding) % stride::stride][:, :, ::-1]
        matrices.append(library.pack(taps.transpose(1, 2, 0).reshape(outputs, -1)))
    packed = np.concatenate(matrices)
    del matrices
    return NativeOp("conv_transpose", packed, bias, alpha,
                    geometry(size, stride, padding, True, tiles), columns=outputs,
                    rows=lambda frames: frames * stride)


def residual_unit(weights: ResidualUnitWeights, tiles: bool = False) -> nn.Cell:
    """x + conv2(snake(conv1(snake(x)))) in convolution layout. tiles: see `upsampling_stage`."""
    if not library.enabled():
        return ResidualUnit(weights)
    conv1, conv2, dilation = weights
    constants = (library.pack(conv2.kernel[:, :, 0]), conv2.bias, conv2.alpha)
    step = np.array([dilation], np.int32)
    if tiles:
        return NativeOp("residual_unit", pack_kernel(conv1.kernel), conv1.bias, conv1.alpha,
                        *constants, step)
    return NativeOp("residual_unit_toom_cook", pack_filters(conv1.kernel), conv1.bias, conv1.alpha,
                    *constants, toom_cook.TRANSFORMS, step)


def upsampling_stage(up: SnakeConvWeights, stride: int,
                     units: Iterable[ResidualUnitWeights], tiles: bool = False) -> list[nn.Cell]:
    """`upsample`, then a `residual_unit` for each of `units`: cells to call one after another.

    What passes between them may be scaled for each channel (see residual_unit.py). tiles: products
    are those of AMX, of numbers that keep 16 bits (native/bf16_parts.h); else of float32.
    """
    if on_ascend():
        return scaled_stage(up, stride, units)
    return [upsample(up, stride, tiles), *(residual_unit(unit, tiles) for unit in units)]


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
        return x + self.activation(mint.narrow(to_frames(y), 0, 0, x.shape[0]))


def geometry(kernel_size: int, stride: int, padding: int, snake: bool,
             tiles: bool = False) -> np.ndarray:
    """How a convolution kernel reads its input, int32 [5]. tiles: of `upsample`."""
    return np.array([kernel_size, stride, padding, snake, tiles], np.int32)


def pack_kernel(kernel: np.ndarray) -> np.ndarray:
    """A kernel [O, I, K] as the CPU kernels take it."""
    return library.pack(kernel.transpose(0, 2, 1).reshape(len(kernel), -1))


def pack_filters(kernel: np.ndarray) -> np.ndarray:
    """A kernel [O, I, 7] transformed for Toom-Cook and packed."""
    filters = toom_cook.transform_filters(kernel)
    return np.concatenate([library.pack(matrix) for matrix in filters])
