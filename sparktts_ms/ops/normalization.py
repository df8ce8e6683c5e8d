"""Norms over the last axis."""

import numpy as np
from mindspore import Tensor, nn, ops

from sparktts_ms.ops.activation import GELU
from sparktts_ms.ops.native.library import kernel
from sparktts_ms.ops.parameter import weight


class LayerNorm(nn.Cell):
    """LayerNorm of rows with weight and bias; without them (both None) it only normalises."""

    def __init__(self, size: int, gain: np.ndarray | None, bias: np.ndarray | None, eps: float):
        super().__init__()
        self.gain = weight(np.ones(size, np.float32) if gain is None else gain)
        self.bias = weight(np.zeros(size, np.float32) if bias is None else bias)
        self.normalise = ops.LayerNorm(begin_norm_axis=1, begin_params_axis=1, epsilon=eps)

    def construct(self, x: Tensor) -> Tensor:
        # x [T, C] -> [T, C]
        return self.normalise(x, self.gain, self.bias)[0]


class RMSNorm(nn.Cell):
    """x / sqrt(mean(x^2) + eps), float32. The learned gain is folded into the linear layer that follows."""

    def __init__(self, eps: float):
        super().__init__()
        self.eps = eps
        self.mean = ops.ReduceMean(keep_dims=True)
        self.fused = kernel("rms_norm", lambda x, eps: x, lambda x, eps: x)
        self.eps_tensor = Tensor(np.array([eps], np.float32))

    def construct(self, x: Tensor) -> Tensor:
        # x [T, C] -> [T, C]
        if self.fused is not None:
            return self.fused(x, self.eps_tensor)
        return x * ops.rsqrt(self.mean(x * x, -1) + self.eps)


class ChannelNormGELU(nn.Cell):
    """GELU of LayerNorm over channels, for convolutions: one pass on the CPU, where a transposition of [C, T] is dear."""

    def __init__(self, size: int, gain: np.ndarray, bias: np.ndarray, eps: float):
        super().__init__()
        self.fused = kernel("channel_norm_gelu", lambda x, *rest: x, lambda x, *rest: x)
        self.norm, self.activate = LayerNorm(size, gain, bias, eps), GELU()
        self.eps = Tensor(np.array([eps], np.float32))

    def construct(self, x: Tensor) -> Tensor:
        # x [1, C, 1, T] -> [1, C, 1, T]
        if self.fused is not None:
            return self.fused(x, self.norm.gain, self.norm.bias, self.eps)
        rows = x.reshape(x.shape[1], x.shape[3]).transpose(1, 0)
        return self.activate(self.norm(rows)).transpose(1, 0).reshape(x.shape)
