"""The perceiver resampler: any number of frames becomes a fixed number of latents.

Source: upstream `perceiver_encoder.py`.
"""

import math

from mindspore import Tensor, nn, ops

from sparktts_ms.ops.activation import GELU
from sparktts_ms.ops.linear import Linear
from sparktts_ms.ops.parameter import weight
from sparktts_ms.weights.checkpoint import Checkpoint

HEADS = 8
HEAD_DIM = 64
DEPTH = 2


class CrossAttention(nn.Cell):
    """Latents attend to themselves and to the frames; no norm before, no positions."""

    def __init__(self, weights: Checkpoint, dim: int):
        super().__init__()
        inner = HEADS * HEAD_DIM
        self.q_proj = Linear(weights.at("to_q").take("weight", inner, dim) * HEAD_DIM**-0.5)
        self.kv_proj = Linear(weights.at("to_kv").take("weight", 2 * inner, dim))
        self.o_proj = Linear(weights.at("to_out").take("weight", dim, inner))
        self.query_key = ops.BatchMatMul(transpose_b=True)
        self.weights_value = ops.BatchMatMul()

    def construct(self, latents: Tensor, frames: Tensor) -> Tensor:
        # latents [N, C], frames [T, C] -> [N, C]
        query = self.q_proj(latents).reshape(-1, HEADS, HEAD_DIM).transpose(1, 0, 2)
        key_value = self.kv_proj(ops.concat([latents, frames], 0))
        key_value = key_value.reshape(-1, 2, HEADS, HEAD_DIM).transpose(1, 2, 0, 3)
        weights = ops.softmax(self.query_key(query, key_value[0]), -1)
        output = self.weights_value(weights, key_value[1]).transpose(1, 0, 2)
        return self.o_proj(output.reshape(latents.shape[0], -1))


class GatedFeedForward(nn.Cell):
    def __init__(self, weights: Checkpoint, dim: int):
        super().__init__()
        self.inner = int(dim * 4 * 2 / 3)
        self.up_proj = Linear.load(weights.at("0"), dim, 2 * self.inner)
        self.down_proj = Linear.load(weights.at("2"), self.inner, dim)
        self.activation = GELU()

    def construct(self, x: Tensor) -> Tensor:
        y = self.up_proj(x)
        return self.down_proj(self.activation(y[:, self.inner:]) * y[:, :self.inner])


class Perceiver(nn.Cell):
    def __init__(self, weights: Checkpoint, frame_dim: int, dim: int, latents: int):
        super().__init__()
        self.in_proj = Linear.load(weights.at("proj_context"), frame_dim, dim)
        self.latents = weight(weights.take("latents", latents, dim))
        self.attention = nn.CellList([CrossAttention(weights.at(f"layers.{n}.0"), dim)
                                      for n in range(DEPTH)])
        self.feed_forward = nn.CellList([GatedFeedForward(weights.at(f"layers.{n}.1"), dim)
                                         for n in range(DEPTH)])
        self.gain = weight(weights.at("norm").take("gamma", dim) * math.sqrt(dim))
        self.sum = ops.ReduceSum(keep_dims=True)

    def construct(self, frames: Tensor) -> Tensor:
        # frames [T, F] -> [N, C]
        frames = self.in_proj(frames)
        x = self.latents
        for n in range(DEPTH):
            x = x + self.attention[n](x, frames)
            x = x + self.feed_forward[n](x)
        length = ops.sqrt(self.sum(x * x, -1))
        return x / ops.maximum(length, 1e-12) * self.gain
