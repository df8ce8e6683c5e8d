"""Convolutions over time by MindSpore's operators, on planes [1, C, 1, T].

`mint`'s 1-D convolutions have no CPU kernel, and the 2-D operators with a height of one run
everywhere. On the CPU they are ops.Conv2D and ops.BiasAdd. On Ascend those two are compiled online
for each shape, up to a documented width of 4,096, and computed in HF32 whatever is asked for;
`mint`'s convolutions are one launch with the bias, up to a width of 1,000,000 (CANN's description
of aclnnConvolution), and take transposed views as they are.

On MindSpore's CPU backend a broadcasting multiplication or addition builds an index table of 16
bytes an element (a third of a second for 7.7 M elements), so bias and per-channel scale of planes
are BiasAdd and inference-mode BatchNorm there, and masks are tiled to full size.
"""

import numpy as np
from mindspore import Tensor, mint, nn, ops

from sparktts_ms.ops.ascend import on_ascend
from sparktts_ms.ops.parameter import weight

_on_ascend = ops.constexpr(on_ascend)       # may be called within a graph


def frames_to_plane(frames: Tensor) -> Tensor:
    """[T, C] -> [1, C, 1, T]; on Ascend a view."""
    if _on_ascend():
        return mint.permute(mint.unsqueeze(mint.unsqueeze(frames, 0), 0), (0, 3, 1, 2))
    return frames.transpose(1, 0).reshape(1, frames.shape[1], 1, frames.shape[0])


def plane_to_rows(x: Tensor) -> Tensor:
    """[1, C, 1, T] -> [C, T]; on Ascend a view."""
    if _on_ascend():
        return mint.select(mint.select(x, 2, 0), 0, 0)
    return x.reshape(x.shape[1], -1)


def plane_to_frames(x: Tensor) -> Tensor:
    """[1, C, 1, T] -> [T, C]; on Ascend a view."""
    if _on_ascend():
        return mint.transpose(plane_to_rows(x), 0, 1)
    return plane_to_rows(x).transpose(1, 0)


def split(x: Tensor, size: int) -> tuple[Tensor, ...]:
    """Pieces of `size` along the first axis; on Ascend views."""
    return mint.split(x, size, 0) if _on_ascend() else ops.split(x, size, 0)


def select(x: Tensor, index: int) -> Tensor:
    """x[index]; on Ascend a view."""
    return mint.select(x, 0, index) if _on_ascend() else x[index]


def apply_mask(x: Tensor, mask: Tensor | None) -> Tensor:
    """A plane with zeros where `mask` [T, 1] is 0; `x` itself where `mask` is None."""
    if mask is None:
        return x
    if _on_ascend():
        return x * mask.reshape(1, -1)
    return x * ops.tile(mask.reshape(1, 1, 1, -1), (1, x.shape[1], 1, 1))


def repeat_mask(mask: Tensor | None, rate: int) -> Tensor | None:
    """[T, 1] -> [rate T, 1], each frame `rate` times."""
    return None if mask is None else ops.tile(mask, (1, rate)).reshape(-1, 1)


def time_mean(x: Tensor) -> Tensor:
    """Each channel's mean, [1, C, 1, T] -> [1, C]."""
    if _on_ascend():
        return mint.mean(x, (2, 3))
    return x.reshape(x.shape[1], -1).mean(1).reshape(1, -1)


def add_gated(x: Tensor, y: Tensor, gate: Tensor) -> Tensor:
    """x + y gate, with planes x and y and a gate [1, C]."""
    gate = gate.reshape(1, -1, 1, 1)
    return mint.addcmul(x, y, gate) if _on_ascend() else x + y * gate


class Conv1d(nn.Cell):
    """A convolution of planes; kernel [O, I / groups, K]."""

    def __init__(self, kernel: np.ndarray, bias: np.ndarray, stride: int = 1, padding: int = 0,
                 dilation: int = 1, groups: int = 1):
        super().__init__()
        outputs, _, size = kernel.shape
        self.kernel = weight(kernel[:, :, None, :])
        self.bias = weight(bias)
        self.ascend = on_ascend()
        self.geometry = ((1, stride), (0, padding), (1, dilation), groups)
        self.bias_add = ops.BiasAdd()
        self.conv = ops.Conv2D(outputs, (1, size), pad_mode="pad", pad=(0, 0, padding, padding),
                               stride=(1, stride), dilation=(1, dilation), group=groups)

    def construct(self, x: Tensor) -> Tensor:
        # x [1, I, 1, T] -> [1, O, 1, T']
        if self.ascend:
            return mint.nn.functional.conv2d(x, self.kernel, self.bias, *self.geometry)
        return self.bias_add(self.conv(x, self.kernel), self.bias)


class ConvTranspose1d(nn.Cell):
    """Upsampling of planes by `stride`; kernel [I, O, K], K - stride even, so T' = stride T."""

    def __init__(self, kernel: np.ndarray, bias: np.ndarray, stride: int):
        super().__init__()
        inputs, self.outputs, size = kernel.shape
        padding = (size - stride) // 2
        self.stride = stride
        self.padding = padding
        self.kernel = weight(kernel[:, :, None, :])
        self.bias = weight(bias)
        self.ascend = on_ascend()
        self.bias_add = ops.BiasAdd()
        self.conv = ops.Conv2DTranspose(inputs, (1, size), pad_mode="pad",
                                        pad=(0, 0, padding, padding), stride=(1, stride))

    def construct(self, x: Tensor) -> Tensor:
        # x [1, I, 1, T] -> [1, O, 1, stride T]
        if self.ascend:
            return mint.nn.functional.conv_transpose2d(
                x, self.kernel, self.bias, (1, self.stride), (0, self.padding))
        y = self.conv(x, self.kernel, (1, self.outputs, 1, self.stride * x.shape[3]))
        return self.bias_add(y, self.bias)
