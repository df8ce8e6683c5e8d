"""Row-wise operators whose gradients are fast on CPU.

MindSpore's CPU kernels are ten to fifty times slower where an operand is broadcast, in gradients
too. Here every broadcast is a product with a matrix of ones instead.
"""

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from sparktts_ms.ops.normalization import RMSNorm


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


class TrainableRMSNorm(nn.Cell):
    """RMSNorm of rows [N, C] with a weight, its output in `dtype`."""

    def __init__(self, weight: np.ndarray, eps: float, trainable: bool = True, dtype=ms.float32):
        super().__init__()
        self.weight = Parameter(Tensor(weight), requires_grad=trainable)
        self.norm = RMSNorm(eps)
        self.dtype = dtype

    def construct(self, x: Tensor) -> Tensor:
        return self.norm(x, self.weight).astype(self.dtype)
