"""LayerNorm over the last axis."""

import numpy as np
from mindspore import Tensor, nn, ops

from sparktts_ms.ops.activation import GELU
from sparktts_ms.ops.native.library import kernel
from sparktts_ms.ops.parameter import weight


class LayerNorm(nn.Cell):
    """LayerNorm of rows. Its gain and bias are given here, or at each call where they depend on something."""

    def __init__(self, gain: np.ndarray | None, bias: np.ndarray | None, eps: float, gelu: bool = False):
        super().__init__()
        self.gain = None if gain is None else weight(gain)
        self.bias = None if bias is None else weight(bias)
        self.gelu, self.activate = gelu, GELU()
        self.eps = Tensor(np.array([eps], np.float32))
        self.fused = kernel("layer_norm_gelu" if gelu else "layer_norm", lambda x, *rest: x)
        self.normalise = ops.LayerNorm(begin_norm_axis=1, begin_params_axis=1, epsilon=eps)

    def construct(self, x: Tensor, gain: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        # x [T, C], gain and bias [C] -> [T, C]
        gain = self.gain if gain is None else gain
        bias = self.bias if bias is None else bias
        if self.fused is not None:
            return self.fused(x, gain, bias, self.eps)
        y = self.normalise(x, gain, bias)[0]
        return self.activate(y) if self.gelu else y
