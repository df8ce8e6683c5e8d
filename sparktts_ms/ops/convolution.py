"""Convolutions over time, in the layout that is best on each device.

A *signal* is [T, C] where the CPU kernels are (native/convolution.cc), and a *plane* [1, C, 1, T] elsewhere, since `mint`'s
1-D convolutions have no CPU kernel and the 2-D operators with a height of one run everywhere. `as_signal` and `as_rows` stand
where a network begins and ends to work on signals. Frames outside an utterance are zeros.

On MindSpore's CPU backend a broadcasting multiplication or addition keeps an index table of 16 bytes an element and spends a
third of a second on making it (7.7 M elements), so bias and per-channel scale of planes are BiasAdd and inference-mode
BatchNorm, which do not.
"""

import numpy as np
from mindspore import Tensor, nn, ops

from sparktts_ms.ops import toom_cook
from sparktts_ms.ops.activation import GELU, Snake
from sparktts_ms.ops.native import library
from sparktts_ms.ops.native.library import kernel
from sparktts_ms.ops.parameter import weight


def as_signal(rows: Tensor) -> Tensor:
    """[T, C] -> a signal."""
    return rows if library.enabled() else rows.transpose(1, 0).reshape(1, rows.shape[1], 1, rows.shape[0])


def as_rows(signal: Tensor) -> Tensor:
    """A signal -> [T, C]."""
    return signal if library.enabled() else signal.reshape(signal.shape[1], -1).transpose(1, 0)


class Conv(nn.Cell):
    """A convolution of signals; `kernel` [O, I, K] as checkpoints hold it, zeros padded on both sides.

    frequency [I]: its input passes a snake first, which is u + sin(u)^2 with u = frequency x. The snake of Spark-TTS is this
    divided by the frequency; that factor belongs into `kernel`. A second argument of `construct` is added to the result.
    """

    def __init__(self, kernel_array: np.ndarray, bias: np.ndarray, stride: int = 1, padding: int = 0, dilation: int = 1,
                 frequency: np.ndarray | None = None):
        super().__init__()
        outputs, inputs, taps = kernel_array.shape
        self.native = library.enabled()
        self.activated = frequency is not None
        frequency = np.zeros(inputs, np.float32) if frequency is None else frequency
        if not self.native:
            self.conv = Conv1d(kernel_array, bias, stride, padding, dilation)
            self.snake = Snake(frequency)
            return

        def shape(x, *rest):
            return [(x[0] + 2 * padding - dilation * (taps - 1) - 1) // stride + 1, outputs]

        self.weight = weight(library.pack(kernel_array.transpose(0, 2, 1).reshape(outputs, -1)))
        self.bias = weight(bias)
        self.frequency = weight(frequency)
        self.geometry = Tensor(np.array([taps, stride, dilation, padding, self.activated], np.int32))
        self.fused, self.fused_add = kernel("conv", shape), kernel("conv_add", shape)

    def construct(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        if self.native:
            if residual is None:
                return self.fused(x, self.weight, self.bias, self.frequency, self.geometry)
            return self.fused_add(x, self.weight, self.bias, self.frequency, self.geometry, residual)
        y = self.conv(self.snake(x) if self.activated else x)
        return y if residual is None else residual + y


class Conv7(nn.Cell):
    """A convolution of signals with seven taps, by fewer products where the CPU kernels are (see toom_cook.py)."""

    def __init__(self, kernel_array: np.ndarray, bias: np.ndarray):
        super().__init__()
        outputs = kernel_array.shape[0]
        self.native = library.enabled()
        if self.native:
            self.filters, self.bias, self.matrices = weight(packed_filters(kernel_array)), weight(bias), transforms()
            self.fused = kernel("conv7", lambda x, *rest: [x[0], outputs])
        else:
            self.conv = Conv1d(kernel_array, bias, padding=3)

    def construct(self, x: Tensor) -> Tensor:
        return self.fused(x, self.filters, self.bias, self.matrices) if self.native else self.conv(x)


class ResidualUnit(nn.Cell):
    """x + narrow(snake(wide(snake(x)))) on signals: `wide` [C, C, 7] dilated, `narrow` [C, C, 1], each with bias [C] and the
    frequency [C] of the snake before it, by which its kernel is divided."""

    def __init__(self, wide: tuple[np.ndarray, ...], narrow: tuple[np.ndarray, ...], dilation: int):
        super().__init__()
        self.native = library.enabled()
        if self.native:
            self.constants = [weight(packed_filters(wide[0])), weight(wide[1]), weight(wide[2]),
                              weight(library.pack(narrow[0][:, :, 0])), weight(narrow[1]), weight(narrow[2])]
            self.matrices, self.dilation = transforms(), Tensor(np.array([dilation], np.int32))
            self.fused = kernel("residual_unit", lambda x, *rest: x)
        else:
            self.wide = Conv(wide[0], wide[1], 1, 3 * dilation, dilation, wide[2])
            self.narrow = Conv(narrow[0], narrow[1], frequency=narrow[2])

    def construct(self, x: Tensor) -> Tensor:
        if self.native:
            return self.fused(x, *self.constants, self.matrices, self.dilation)
        return self.narrow(self.wide(x), x)


class Upsample(nn.Cell):
    """Snake, then transposed convolution of signals by `stride`; `kernel` [I, O, K] as checkpoints hold it, K - stride even,
    so T' = stride T exactly."""

    def __init__(self, kernel_array: np.ndarray, bias: np.ndarray, stride: int, frequency: np.ndarray):
        super().__init__()
        _, outputs, taps = kernel_array.shape
        self.native = library.enabled()
        if not self.native:
            self.snake, self.conv = Snake(frequency), ConvTranspose1d(kernel_array, bias, stride)
            return
        padding = (taps - stride) // 2
        phases = []     # the taps that make each phase of the output, from the earliest input to the latest
        for phase in range(stride):
            mine = kernel_array[:, :, (phase + padding) % stride::stride][:, :, ::-1]
            phases.append(library.pack(mine.transpose(1, 2, 0).reshape(outputs, -1)))
        self.weight = weight(np.concatenate(phases))
        self.bias, self.frequency = weight(bias), weight(frequency)
        self.geometry = Tensor(np.array([taps, stride, 1, padding, 1], np.int32))
        self.fused = kernel("conv_transpose", lambda x, *rest: [x[0] * stride, outputs])

    def construct(self, x: Tensor) -> Tensor:
        if self.native:
            return self.fused(x, self.weight, self.bias, self.frequency, self.geometry)
        return self.conv(self.snake(x))


def packed_filters(kernel_array: np.ndarray) -> np.ndarray:
    return np.concatenate([library.pack(matrix) for matrix in toom_cook.filters(kernel_array)])


def transforms() -> Tensor:
    return Tensor(np.concatenate([toom_cook.TO_INPUTS.ravel(), toom_cook.TO_OUTPUTS.ravel()]).astype(np.float32))


class FrameConv(nn.Cell):
    """A convolution of frames stored one a row; `kernel` [O, I / groups, K], K odd. All of `groups` 1 or equal to O = I."""

    def __init__(self, kernel_array: np.ndarray, bias: np.ndarray, groups: int = 1):
        super().__init__()
        padding = kernel_array.shape[2] // 2
        self.native, self.single = library.enabled(), groups > 1
        if not self.native:
            self.conv = Conv1d(kernel_array, bias, padding=padding, groups=groups)
        elif self.single:
            self.filters, self.bias = weight(np.ascontiguousarray(kernel_array[:, 0].T)), weight(bias)
            self.fused = kernel("depthwise", lambda x, *rest: x)
        else:
            self.conv = Conv(kernel_array, bias, padding=padding)

    def construct(self, x: Tensor, keep: Tensor | None) -> Tensor:
        # x [T, I], keep [T, 1] (1 for a real frame, 0 for one outside the utterance; None: all are real) -> [T, O]
        x = x if keep is None else x * keep
        if not self.native:
            return as_rows(self.conv(as_signal(x)))
        return self.fused(x, self.filters, self.bias) if self.single else self.conv(x)


class PositionConv(nn.Cell):
    """x + GELU of a grouped convolution of many taps, on rows; the extra last frame of an even kernel is dropped."""

    def __init__(self, kernel_array: np.ndarray, bias: np.ndarray, groups: int):
        super().__init__()
        size, part, taps = kernel_array.shape
        self.native = library.enabled()
        if not self.native:
            self.conv, self.activate = Conv1d(kernel_array, bias, padding=taps // 2, groups=groups), GELU()
            return
        each = kernel_array.reshape(groups, size // groups, part, taps)
        self.weight = weight(np.concatenate([library.pack(k.transpose(0, 2, 1).reshape(size // groups, -1)) for k in each]))
        self.bias = weight(bias)
        self.geometry = Tensor(np.array([taps, 1, 1, taps // 2, 0], np.int32))
        self.groups = Tensor(np.array([groups], np.int32))
        self.fused = kernel("positions_conv", lambda x, *rest: x)

    def construct(self, x: Tensor, keep: Tensor | None) -> Tensor:
        # x [T, C], keep [T, 1] or None -> [T, C]
        if self.native and keep is None:
            return self.fused(x, self.weight, self.bias, self.geometry, self.groups)
        y = as_rows(self.conv(as_signal(x if keep is None else x * keep)))[:x.shape[0]]
        return x + self.activate(y)


class Conv1d(nn.Cell):
    """A convolution of planes; `kernel` [O, I / groups, K]."""

    def __init__(self, kernel_array: np.ndarray, bias: np.ndarray, stride: int = 1, padding: int = 0, dilation: int = 1,
                 groups: int = 1):
        super().__init__()
        outputs, _, taps = kernel_array.shape
        self.kernel = weight(kernel_array[:, :, None, :])
        self.bias = weight(bias)
        self.add = ops.BiasAdd()
        self.convolve = ops.Conv2D(outputs, (1, taps), pad_mode="pad", pad=(0, 0, padding, padding),
                                   stride=(1, stride), dilation=(1, dilation), group=groups)

    def construct(self, x: Tensor) -> Tensor:
        # x [1, I, 1, T] -> [1, O, 1, T']
        return self.add(self.convolve(x, self.kernel), self.bias)


class ConvTranspose1d(nn.Cell):
    """Upsampling of planes by `stride`; `kernel` [I, O, K], K - stride even, so T' = stride T exactly."""

    def __init__(self, kernel_array: np.ndarray, bias: np.ndarray, stride: int):
        super().__init__()
        inputs, self.outputs, taps = kernel_array.shape
        padding = (taps - stride) // 2
        self.stride = stride
        self.kernel = weight(kernel_array[:, :, None, :])
        self.bias = weight(bias)
        self.add = ops.BiasAdd()
        self.spread = ops.Conv2DTranspose(inputs, (1, taps), pad_mode="pad", pad=(0, 0, padding, padding),
                                          stride=(1, stride))

    def construct(self, x: Tensor) -> Tensor:
        # x [1, I, 1, T] -> [1, O, 1, stride T]
        y = self.spread(x, self.kernel, (1, self.outputs, 1, self.stride * x.shape[3]))
        return self.add(y, self.bias)
