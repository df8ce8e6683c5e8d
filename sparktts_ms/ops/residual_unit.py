"""Residual units of the wave generator on planes, in MindSpore's operators.

A snake reads its input times alpha. On Ascend whoever writes that input multiplies by alpha, in its
kernel and bias, and a unit hands on its signal times the alpha of the next unit: a snake then takes
two launches instead of three. So what passes between the cells of a stage is scaled for each
channel; what enters and leaves the stage is not.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from mindspore import Tensor, mint, nn

from sparktts_ms.ops.activation import Snake, scaled_snake
from sparktts_ms.ops.parameter import weight
from sparktts_ms.ops.planes import Conv1d, ConvTranspose1d


class SnakeConvWeights(NamedTuple):
    """A convolution after a snake: kernel [O, I, K] divided by alpha, bias [O], alpha [I]."""

    kernel: np.ndarray
    bias: np.ndarray
    alpha: np.ndarray


class ResidualUnitWeights(NamedTuple):
    """conv1 [C, C, 7], which is dilated, and conv2 [C, C, 1]."""

    conv1: SnakeConvWeights
    conv2: SnakeConvWeights
    dilation: int


class ResidualUnit(nn.Cell):
    """x + conv2(snake(conv1(snake(x))))."""

    def __init__(self, weights: ResidualUnitWeights):
        super().__init__()
        conv1, conv2, dilation = weights
        self.snake1 = Snake(conv1.alpha)
        self.conv1 = Conv1d(conv1.kernel, conv1.bias, 1, 3 * dilation, dilation)
        self.snake2 = Snake(conv2.alpha)
        self.conv2 = Conv1d(conv2.kernel, conv2.bias)

    def construct(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.snake2(self.conv1(self.snake1(x))))


class ScaledResidualUnit(nn.Cell):
    """A residual unit on Ascend: conv1.alpha x -> next_alpha (x + conv2(...))."""

    def __init__(self, weights: ResidualUnitWeights, next_alpha: np.ndarray):
        super().__init__()
        conv1, conv2, dilation = weights
        self.conv1 = Conv1d(conv1.kernel * conv2.alpha[:, None, None], conv1.bias * conv2.alpha,
                            1, 3 * dilation, dilation)
        self.conv2 = Conv1d(conv2.kernel * next_alpha[:, None, None], conv2.bias * next_alpha)
        self.ratio = weight((next_alpha / conv1.alpha)[:, None, None])

    def construct(self, x: Tensor) -> Tensor:
        y = self.conv2(scaled_snake(self.conv1(scaled_snake(x))))
        return mint.addcmul(y, x, self.ratio)


def scaled_stage(up: SnakeConvWeights, stride: int,
                 units: Iterable[ResidualUnitWeights]) -> list[nn.Cell]:
    """The cells of a stage on Ascend: upsampling, then the residual units."""
    units = list(units)
    alphas = [unit.conv1.alpha for unit in units]
    upsample = ConvTranspose1d(up.kernel * alphas[0][:, None], up.bias * alphas[0], stride)
    cells: list[nn.Cell] = [nn.SequentialCell(Snake(up.alpha), upsample)]
    next_alphas = [*alphas[1:], np.ones_like(alphas[0])]
    for unit, next_alpha in zip(units, next_alphas, strict=True):
        cells.append(ScaledResidualUnit(unit, next_alpha))
    return cells
