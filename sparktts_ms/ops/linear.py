"""Linear layers, with the RMS norm before them and the activation or residual after them.

On the CPU each is one kernel over a packed matrix (native/gemm.h). Elsewhere they are plain
operators: on MindSpore's CPU backend with weights stored (in, out), so that the product of one row
reads the matrix at memory bandwidth, on Ascend with fused ones in the matrix's data type.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, nn, ops

from sparktts_ms.ops import ascend
from sparktts_ms.ops.activation import GELU
from sparktts_ms.ops.native import library
from sparktts_ms.ops.native.library import custom_op
from sparktts_ms.ops.normalization import RMSNorm
from sparktts_ms.ops.parameter import weight
from sparktts_ms.weights.checkpoint import Checkpoint


class Linear(nn.Cell):
    """y = x W + b on rows, float32 in and out. `matrix` is (out, in), as in checkpoints.

    dtype: of the stored matrix, "float32", "bfloat16" (Ascend only; then also of x and y), or
    "int8" or "int4" (CPU kernels only). eps: x passes an RMS norm first. gelu: y is activated.
    factor: of x, for int4 (see `library.pack`). frames: rows are frames, many in one call, of a
    float32 matrix without norm, for which the CPU kernels use AMX. A second argument of `construct`
    is added to y.
    """

    def __init__(self, matrix: np.ndarray, bias: np.ndarray | None = None, dtype: str = "float32",
                 eps: float | None = None, gelu: bool = False, factor: np.ndarray | None = None,
                 frames: bool = False):
        super().__init__()
        outputs = matrix.shape[0]
        self.native = library.enabled()
        self.has_norm = eps is not None
        self.has_bias = bias is not None
        self.gelu = gelu
        self.eps = Tensor(np.array([eps or 0.0], np.float32))
        if self.native:
            self.weight = weight(library.pack(matrix, dtype, factor))
            self.bias = weight(np.zeros(outputs, np.float32) if bias is None else bias)
            prefix = "frames_" if frames else ""
            name = "linear_gelu" if gelu else f"{prefix}linear_bias"
            self.fused = custom_op("rms_norm_linear" if self.has_norm else name, outputs)
            self.fused_add = custom_op(prefix + "linear_add", outputs)
            return
        self.ascend = ascend.on_ascend()
        self.activation = GELU()
        if eps is not None:
            self.norm = RMSNorm(eps, matrix.shape[1], dtype)
        if self.ascend:
            self.weight = weight(matrix, getattr(ms, dtype))
            self.bias = None if bias is None else weight(bias, getattr(ms, dtype))
        else:
            self.weight = weight(np.ascontiguousarray(matrix.T))
            self.bias = None if bias is None else weight(bias)
            self.matmul = ops.MatMul()
            self.bias_add = ops.BiasAdd()

    @classmethod
    def load(cls, weights: Checkpoint, inputs: int, outputs: int, gelu: bool = False) -> Linear:
        """The layer of frames stored as `weight` [outputs, inputs] and `bias` [outputs]."""
        return cls(weights.take("weight", outputs, inputs), weights.take("bias", outputs),
                   gelu=gelu, frames=True)

    def construct(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        # x [T, I], residual [T, O] -> [T, O]
        if self.native:
            if self.has_norm:
                return self.fused(x, self.eps, self.weight, self.bias)
            if residual is not None:
                return self.fused_add(x, self.weight, self.bias, residual)
            return self.fused(x, self.weight, self.bias)
        if self.has_norm:
            x = self.norm(x)
        if self.ascend:
            y = mint.nn.functional.linear(x, self.weight, self.bias)
        else:
            y = self.matmul(x, self.weight)
            if self.has_bias:
                y = self.bias_add(y, self.bias)
        if self.gelu:
            y = self.activation(y)
        return y if residual is None else residual + y


class SwiGLU(nn.Cell):
    """silu(n G) * (n U) with n the RMS-normalised rows; `gate` and `up` are (out, in).

    factor: of n, for int4 (see `library.pack`).
    """

    def __init__(self, gate: np.ndarray, up: np.ndarray, dtype: str, eps: float,
                 factor: np.ndarray | None = None):
        super().__init__()
        self.inner = gate.shape[0]
        self.native = library.enabled()
        self.eps = Tensor(np.array([eps], np.float32))
        if self.native:
            self.weight = weight(library.pack(interleave(gate, up), dtype, factor))
            self.fused = custom_op("rms_norm_swiglu", self.inner)
        else:
            self.ascend = ascend.on_ascend()
            self.gate_up = Linear(np.concatenate([gate, up]), None, dtype, eps)

    def construct(self, x: Tensor) -> Tensor:
        # x [T, C] -> [T, I]
        if self.native:
            return self.fused(x, self.eps, self.weight)
        y = self.gate_up(x)
        if self.ascend:
            return ops.swiglu(y, -1)
        return ops.silu(y[:, :self.inner]) * y[:, self.inner:]


def interleave(gate: np.ndarray, up: np.ndarray, lanes: int = 16) -> np.ndarray:
    """16 rows of each in turn, so that each panel of 32 outputs holds gates and their values."""
    padding = -gate.shape[0] % lanes
    if padding:
        gate = np.pad(gate, ((0, padding), (0, 0)))
        up = np.pad(up, ((0, padding), (0, 0)))
    inputs = gate.shape[1]
    panels = np.stack([gate.reshape(-1, lanes, inputs), up.reshape(-1, lanes, inputs)], 1)
    return panels.reshape(-1, inputs)


class LogitsProjection(nn.Cell):
    """The output matrix [N, C] on RMS-normalised rows, restricted to the columns that are needed.

    native: the logits are on the host; elsewhere the largest are selected before they are copied.
    """

    def __init__(self, matrix: np.ndarray, dtype: str, eps: float):
        super().__init__()
        self.outputs = matrix.shape[0]
        self.native = library.enabled()
        self.eps = Tensor(np.array([eps], np.float32))
        if self.native:
            self.weight = weight(library.pack(matrix, dtype))
            self.fused = custom_op("rms_norm_logits", self.outputs)
        else:
            self.ascend = ascend.on_ascend()
            self.linear = Linear(matrix, None, dtype, eps)
            self.columns = Tensor(np.arange(self.outputs, dtype=np.int32)[None])

    def construct(self, x: Tensor, ranges) -> Tensor:
        # x [B, C], ranges int32 [B, 2]: first column, and last + 1, of each row; on Ascend first
        # and last, [B, 1] each -> [B, N] float32. Other columns are minus infinity, or on the CPU,
        # the logits that another row needs.
        if self.native:
            return self.fused(x, self.eps, self.weight, ranges)
        if self.ascend:
            first, last = ranges
            inside = mint.logical_and(self.columns >= first, self.columns <= last)
            return mint.where(inside, self.linear(x).astype(ms.float32), -np.inf)
        inside = ops.logical_and(self.columns >= ranges[:, :1], self.columns < ranges[:, 1:])
        masked = ops.full((x.shape[0], self.outputs), -np.inf, dtype=ms.float32)
        return ops.select(inside, self.linear(x), masked)

    def top(self, logits: Tensor, k: int) -> Tensor:
        """The `k` largest logits of each row [B, N] and their columns, float32 [B, 2 k]."""
        if self.ascend:
            values, columns = mint.topk(logits, k)
            return mint.cat([values, columns.astype(ms.float32)], 1)
        values, columns = ops.topk(logits, k)
        return ops.concat([values, columns.astype(ms.float32)], 1)
