"""Linear layers, with the RMS norm before them and the activation or residual after them.

On the CPU each is one kernel over a packed matrix (native/gemm.h). Elsewhere they are plain operators, with weights
stored (in, out): on MindSpore's CPU backend one row then moves the matrix at memory bandwidth.
"""

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from sparktts_ms.ops.activation import GELU
from sparktts_ms.ops.native import library
from sparktts_ms.ops.native.library import kernel
from sparktts_ms.ops.parameter import weight


class Linear(nn.Cell):
    """y = x W + b on rows, float32 in and out. `matrix` is given as checkpoints hold it, (out, in).

    dtype: of the stored matrix, "float32", "bfloat16", or "int8" (CPU kernels only). eps: x is RMS-normalised first.
    gelu: y is activated. A second argument of `construct` is added to y.
    """

    def __init__(self, matrix: np.ndarray, bias: np.ndarray | None = None, dtype: str = "float32",
                 eps: float | None = None, gelu: bool = False):
        super().__init__()
        outputs = matrix.shape[0]

        def shape(x, *rest):
            return [x[0], outputs]

        self.native = library.enabled()
        self.normed, self.gelu, self.biased = eps is not None, gelu, bias is not None
        self.eps = Tensor(np.array([eps or 0.0], np.float32))
        if self.native:
            self.weight = weight(library.pack(matrix, dtype == "int8"))
            self.bias = weight(np.zeros(outputs, np.float32) if bias is None else bias)
            self.fused = kernel("norm_linear" if self.normed else "linear_gelu" if gelu else "linear_rows", shape)
            self.fused_add = kernel("linear_add", shape)
        else:
            self.weight = weight(np.ascontiguousarray(matrix.T), getattr(ms, dtype))
            self.bias = None if bias is None else weight(bias)
            self.product, self.add, self.activate = ops.MatMul(), ops.BiasAdd(), GELU()
            self.norm = RMSNorm(eps or 0.0)
            self.cast = self.weight.dtype != ms.float32

    def construct(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        # x [T, I] -> [T, O]
        if self.native:
            if self.normed:
                return self.fused(x, self.eps, self.weight, self.bias)
            if residual is not None:
                return self.fused_add(x, self.weight, self.bias, residual)
            return self.fused(x, self.weight, self.bias)
        if self.normed:
            x = self.norm(x)
        if self.cast:
            y = self.product(x.astype(self.weight.dtype), self.weight).astype(ms.float32)
        else:
            y = self.product(x, self.weight)
        if self.biased:
            y = self.add(y, self.bias)
        if self.gelu:
            y = self.activate(y)
        return y if residual is None else residual + y


class SwiGLU(nn.Cell):
    """silu(n G) * (n U) with n the RMS-normalised rows; `gate` and `up` as checkpoints hold them, (out, in)."""

    def __init__(self, gate: np.ndarray, up: np.ndarray, dtype: str, eps: float):
        super().__init__()
        inner = self.inner = gate.shape[0]
        self.native = library.enabled()
        self.eps = Tensor(np.array([eps], np.float32))
        if self.native:
            self.weight = weight(library.pack(interleave(gate, up), dtype == "int8"))
            self.fused = kernel("norm_swiglu", lambda x, *rest: [x[0], inner])
        else:
            self.gate_up = Linear(np.concatenate([gate, up]), None, dtype, eps)

    def construct(self, x: Tensor) -> Tensor:
        # x [T, C] -> [T, I]
        if self.native:
            return self.fused(x, self.eps, self.weight)
        y = self.gate_up(x)
        return ops.silu(y[:, :self.inner]) * y[:, self.inner:]


class RMSNorm(nn.Cell):
    """x / sqrt(mean(x^2) + eps), float32. The learned gain is folded into the linear layer that follows."""

    def __init__(self, eps: float):
        super().__init__()
        self.eps = eps
        self.mean = ops.ReduceMean(keep_dims=True)

    def construct(self, x: Tensor) -> Tensor:
        # x [T, C] -> [T, C]
        return x * ops.rsqrt(self.mean(x * x, -1) + self.eps)


def interleave(gate: np.ndarray, up: np.ndarray, lanes: int = 16) -> np.ndarray:
    """Rows of both in turns of 16, so that each panel of 32 outputs holds gates and what they open."""
    spare = -gate.shape[0] % lanes
    if spare:
        gate, up = (np.pad(matrix, ((0, spare), (0, 0))) for matrix in (gate, up))
    inputs = gate.shape[1]
    return np.stack([gate.reshape(-1, lanes, inputs), up.reshape(-1, lanes, inputs)], 1).reshape(-1, inputs)


class Logits(nn.Cell):
    """The output matrix, `matrix` [N, C], on RMS-normalised rows; only columns that may come next.

    whole: all of the result is meant for the host, which reads it without a copy; elsewhere the best are picked first.
    """

    def __init__(self, matrix: np.ndarray, dtype: str, eps: float):
        super().__init__()
        outputs = self.outputs = matrix.shape[0]
        self.whole = library.enabled()
        self.eps = Tensor(np.array([eps], np.float32))
        if self.whole:
            self.weight = weight(library.pack(matrix, dtype == "int8"))
            self.fused = kernel("norm_logits", lambda x, *rest: [x[0], outputs])
        else:
            self.linear = Linear(matrix, None, dtype, eps)
            self.columns = Tensor(np.arange(outputs, dtype=np.int32)[None])

    def construct(self, x: Tensor, ranges: Tensor) -> Tensor:
        # x [B, C], ranges int32 [B, 2]: the columns first .. last - 1 of each row that may come -> [B, N]; the others are
        # minus infinity, or not (on the CPU, where a row may have the columns of another too)
        if self.whole:
            return self.fused(x, self.eps, self.weight, ranges)
        inside = ops.logical_and(self.columns >= ranges[:, :1], self.columns < ranges[:, 1:])
        return ops.select(inside, self.linear(x), ops.full((x.shape[0], self.outputs), -np.inf, dtype=ms.float32))
