"""Operators that treat each row of a matrix by itself, as they are trained.

MindSpore's CPU kernels multiply or add an operand that has to be broadcast ten to fifty times slower than one of full size, and
so do the gradients that they imply. Here every such step is a product with a matrix of ones, which is as fast as reading.
"""

import numpy as np
from mindspore import Tensor, nn, ops


class Softmax(nn.Cell):
    """Softmax of the rows of [N, L]."""

    def __init__(self):
        super().__init__()
        self.softmax, self.product = ops.Softmax(-1), ops.MatMul()

    def construct(self, x: Tensor) -> Tensor:
        return self.softmax(x)

    def bprop(self, x: Tensor, y: Tensor, dy: Tensor) -> tuple[Tensor]:
        length = x.shape[-1]
        common = self.product(self.product(y * dy, ops.ones((length, 1), x.dtype)), ops.ones((1, length), x.dtype))
        return (y * (dy - common),)


class RMSNorm(nn.Cell):
    """Rows of [N, C] at a root mean square of one, times a weight [C]. Source: arXiv 1910.07467."""

    def __init__(self, eps: float):
        super().__init__()
        self.eps, self.product = eps, ops.MatMul()

    def construct(self, x: Tensor, weight: Tensor) -> Tensor:
        width = x.shape[-1]
        square = self.product(x * x, ops.full((width, 1), 1.0 / width, dtype=x.dtype))
        return x * self.product(ops.rsqrt(square + self.eps), weight.reshape(1, width))


def rotate_half_matrix(size: int) -> np.ndarray:
    """[D, D]: x @ quarter_turn(D) is (-second half of x, first half of x), what rotary positions take the sine of."""
    half = size // 2
    turn = np.zeros((size, size), np.float32)
    turn[half + np.arange(half), np.arange(half)] = -1.0
    turn[np.arange(half), half + np.arange(half)] = 1.0
    return turn
