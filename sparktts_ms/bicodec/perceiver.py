"""The perceiver resampler: any number of frames becomes a fixed number of latents.

Source: upstream `perceiver_encoder.py`.
"""

import math

from mindspore import Tensor, mint, nn, ops

from sparktts_ms.ops.activation import GELU
from sparktts_ms.ops.linear import Linear
from sparktts_ms.ops.normalization import UnitNorm
from sparktts_ms.ops.parameter import constant
from sparktts_ms.ops.planes import select
from sparktts_ms.weights.checkpoint import Checkpoint

HEADS = 8
HEAD_DIM = 64
DEPTH = 2


class CrossAttention(nn.Cell):
    """Latents attend to themselves and to the frames; no norm before, no positions. The result is
    added to them."""

    def __init__(self, weights: Checkpoint, dim: int):
        super().__init__()
        inner = HEADS * HEAD_DIM
        self.q_proj = Linear(weights.at("to_q").take("weight", inner, dim) * HEAD_DIM**-0.5)
        self.kv_proj = Linear(weights.at("to_kv").take("weight", 2 * inner, dim), frames=True)
        self.o_proj = Linear(weights.at("to_out").take("weight", dim, inner))
        self.query_key = ops.BatchMatMul(transpose_b=True)
        self.weights_value = ops.BatchMatMul()

    def construct(self, latents: Tensor, frames: Tensor) -> Tensor:
        # latents [N, C], frames [T, C] -> [N, C]
        query = self.q_proj(latents).reshape(-1, HEADS, HEAD_DIM).transpose(1, 0, 2)
        key_value = self.kv_proj(ops.concat([latents, frames], 0))
        key_value = key_value.reshape(-1, 2, HEADS, HEAD_DIM).transpose(1, 2, 0, 3)
        weights = ops.softmax(self.query_key(query, select(key_value, 0)), -1)
        output = self.weights_value(weights, select(key_value, 1)).transpose(1, 0, 2)
        return self.o_proj(output.reshape(latents.shape[0], -1), latents)


class GatedFeedForward(nn.Cell):
    """x + (gelu(gate) value) W."""

    def __init__(self, weights: Checkpoint, dim: int):
        super().__init__()
        self.inner = int(dim * 4 * 2 / 3)
        self.up_proj = Linear.load(weights.at("0"), dim, 2 * self.inner)
        self.down_proj = Linear.load(weights.at("2"), self.inner, dim)
        self.activation = GELU()

    def construct(self, x: Tensor) -> Tensor:
        value, gate = mint.split(self.up_proj(x), self.inner, 1)
        return self.down_proj(self.activation(gate) * value, x)


class Perceiver(nn.Cell):
    def __init__(self, weights: Checkpoint, frame_dim: int, dim: int, latents: int):
        super().__init__()
        self.in_proj = Linear.load(weights.at("proj_context"), frame_dim, dim)
        self.latents = constant(weights.take("latents", latents, dim))
        self.attention = nn.CellList([CrossAttention(weights.at(f"layers.{n}.0"), dim)
                                      for n in range(DEPTH)])
        self.feed_forward = nn.CellList([GatedFeedForward(weights.at(f"layers.{n}.1"), dim)
                                         for n in range(DEPTH)])
        self.norm = UnitNorm(weights.at("norm").take("gamma", dim) * math.sqrt(dim))

    def construct(self, frames: Tensor) -> Tensor:
        # frames [T, F] -> [N, C]
        frames = self.in_proj(frames)
        x = self.latents
        for n in range(DEPTH):
            x = self.feed_forward[n](self.attention[n](x, frames))
        return self.norm(x)
