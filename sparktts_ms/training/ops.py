"""Row-wise operators whose gradients are fast on CPU.

MindSpore's CPU kernels are ten to fifty times slower where an operand is broadcast, in gradients
too. Here every broadcast is a product with a matrix of ones instead.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops


class Softmax(nn.Cell):
    """Softmax of the rows of [N, L]."""

    def __init__(self):
        super().__init__()
        self.softmax = ops.Softmax(-1)
        self.matmul = ops.MatMul()

    def construct(self, x: Tensor) -> Tensor:
        return self.softmax(x)

    def bprop(self, x: Tensor, y: Tensor, dy: Tensor) -> tuple[Tensor]:
        length = x.shape[-1]
        row_sums = self.matmul(y * dy, ops.ones((length, 1), x.dtype))
        return (y * (dy - self.matmul(row_sums, ops.ones((1, length), x.dtype))),)


class RMSNorm(nn.Cell):
    """x / sqrt(mean(x^2) + eps) * weight for rows [N, C]. Source: arXiv 1910.07467.

    Unlike ops/linear.py's, which is for inference, it has a weight and no broadcast.
    """

    def __init__(self, weight: np.ndarray, eps: float, trainable: bool = True, dtype=ms.float32):
        super().__init__()
        self.weight = Parameter(Tensor(weight), requires_grad=trainable)
        self.eps = eps
        self.dtype = dtype
        self.matmul = ops.MatMul()

    def construct(self, x: Tensor) -> Tensor:
        size = x.shape[-1]
        mean = self.matmul(x * x, ops.full((size, 1), 1.0 / size, dtype=x.dtype))
        scale = self.matmul(ops.rsqrt(mean + self.eps), self.weight.reshape(1, size))
        return (x * scale).astype(self.dtype)
