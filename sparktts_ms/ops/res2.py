"""The layers of ECAPA-TDNN: Res2 block, squeeze-and-excitation, in convolution layout.

Source: arXiv 1904.01169, arXiv 2005.07143. Channel groups are convolved one after another, each
after adding the previous group's output; the last group stays as it is. Every convolution is
followed by ReLU and a batch norm, which is a scale and a shift of each channel.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from mindspore import Tensor, mint, nn, ops

from sparktts_ms.ops.activation import ChannelScale
from sparktts_ms.ops.ascend import on_ascend
from sparktts_ms.ops.convolution import NativeOp, pack_kernel
from sparktts_ms.ops.linear import Linear
from sparktts_ms.ops.native import library
from sparktts_ms.ops.native.library import custom_op
from sparktts_ms.ops.parameter import weight
from sparktts_ms.ops.planes import Conv1d, add_gated, time_mean


class NormedConv(NamedTuple):
    """Convolution [O, I, K] with bias [O], then ReLU, then scale and shift [O]."""

    kernel: np.ndarray
    bias: np.ndarray
    scale: np.ndarray
    shift: np.ndarray


class ConvReluNorm(nn.Cell):
    """Convolution without change of length, ReLU, batch norm."""

    def __init__(self, weights: NormedConv, dilation: int = 1):
        super().__init__()
        kernel, bias, scale, shift = weights
        self.native = dilation == 1 and library.enabled()
        if self.native:
            outputs, _, size = kernel.shape
            self.conv = NativeOp("conv_relu_norm", pack_kernel(kernel), bias, scale, shift,
                                 np.array([size], np.int32), columns=outputs)
            return
        padding = dilation * (kernel.shape[2] // 2)
        self.conv = Conv1d(kernel, bias, padding=padding, dilation=dilation)
        self.norm = ChannelScale(scale, shift)

    def construct(self, x: Tensor) -> Tensor:
        # x [1, I, 1, T] -> [1, O, 1, T]; or with the CPU kernels [T, I] -> [T, O]
        return self.conv(x) if self.native else self.norm(ops.relu(self.conv(x)))


class Res2Block(nn.Cell):
    """Pointwise convolution, the groups, pointwise convolution."""

    def __init__(self, first: NormedConv, groups: Sequence[NormedConv], last: NormedConv,
                 dilation: int):
        super().__init__()
        self.first = ConvReluNorm(first)
        self.convs = nn.CellList([ConvReluNorm(group, dilation) for group in groups])
        self.last = ConvReluNorm(last)

    def construct(self, x: Tensor) -> Tensor:
        # x [1, C, 1, T] -> [1, C, 1, T]
        groups = ops.split(self.first(x), x.shape[1] // (len(self.convs) + 1), 1)
        y = self.convs[0](groups[0])
        outputs = [y]
        for n in range(1, len(self.convs)):
            y = self.convs[n](y + groups[n])
            outputs.append(y)
        return self.last(ops.concat([*outputs, groups[-1]], 1))


class NativeRes2Block(nn.Cell):
    """Res2Block in the CPU kernels."""

    def __init__(self, first: NormedConv, groups: Sequence[NormedConv], last: NormedConv,
                 dilation: int):
        super().__init__()
        self.first = ConvReluNorm(first)
        _, width, size = groups[0].kernel.shape
        matrices = [pack_kernel(group.kernel) for group in groups]
        bias, scale, shift = (np.concatenate(vectors) for vectors in zip(
            *((group.bias, group.scale, group.shift) for group in groups), strict=True))
        self.groups = NativeOp("res2_groups", np.concatenate(matrices), bias, scale, shift,
                               np.array([width, size, dilation], np.int32))
        self.last = ConvReluNorm(last)

    def construct(self, x: Tensor) -> Tensor:
        # x [T, C] -> [T, C]
        return self.last(self.groups(self.first(x)))


class FoldedRes2Block(nn.Cell):
    """Res2Block on Ascend, with the groups' norms in what reads them: their shifts in the norm of
    the first convolution and in the bias of the last, their scales in the additions and in the
    kernel of the last."""

    def __init__(self, first: NormedConv, groups: Sequence[NormedConv], last: NormedConv,
                 dilation: int):
        super().__init__()
        width = len(groups[0].bias)
        unchanged = np.zeros(width, np.float32)
        added = [unchanged, *(group.shift for group in groups[:-1]), unchanged]
        self.first = ConvReluNorm(first._replace(shift=first.shift + np.concatenate(added)))
        self.convs = nn.CellList([
            Conv1d(group.kernel, group.bias, padding=dilation * (group.kernel.shape[2] // 2),
                   dilation=dilation) for group in groups])
        self.scales = [weight(group.scale[:, None, None]) for group in groups[:-1]]
        scale = np.concatenate([*(group.scale for group in groups), unchanged + 1])
        shift = np.concatenate([*(group.shift for group in groups), unchanged])
        self.last = ConvReluNorm(last._replace(
            kernel=last.kernel * scale[:, None], bias=last.bias + last.kernel[:, :, 0] @ shift))

    def construct(self, x: Tensor) -> Tensor:
        # x [1, C, 1, T] -> [1, C, 1, T]
        groups = mint.split(self.first(x), x.shape[1] // (len(self.convs) + 1), 1)
        y = ops.relu(self.convs[0](groups[0]))
        outputs = [y]
        for n in range(1, len(self.convs)):
            y = ops.relu(self.convs[n](mint.addcmul(groups[n], y, self.scales[n - 1])))
            outputs.append(y)
        return self.last(mint.cat([*outputs, groups[-1]], 1))


def res2_block(first: NormedConv, groups: Sequence[NormedConv], last: NormedConv,
               dilation: int) -> nn.Cell:
    """A Res2 block of len(groups) + 1 channel groups."""
    block: type[nn.Cell] = Res2Block
    if library.enabled():
        block = NativeRes2Block
    elif on_ascend():
        block = FoldedRes2Block
    return block(first, groups, last, dilation)


class SqueezeExcitation(nn.Cell):
    """x + y gate, where the gate of each channel is computed from the means of y over time:
    sigmoid(excite relu(squeeze mean)), with matrices [S, C] and [C, S]."""

    def __init__(self, squeeze: np.ndarray, squeeze_bias: np.ndarray, excite: np.ndarray,
                 excite_bias: np.ndarray):
        super().__init__()
        self.fused = custom_op("squeeze_excitation")
        if self.fused is not None:
            self.constants = [
                weight(array) for array in (squeeze, squeeze_bias, excite, excite_bias)]
            return
        self.squeeze = Linear(squeeze, squeeze_bias)
        self.excite = Linear(excite, excite_bias)

    def construct(self, x: Tensor, y: Tensor) -> Tensor:
        # x and y in convolution layout
        if self.fused is not None:
            return self.fused(x, y, *self.constants)
        gate = ops.sigmoid(self.excite(ops.relu(self.squeeze(time_mean(y)))))
        return add_gated(x, y, gate)
