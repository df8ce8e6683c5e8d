"""The perceiver resampler: any number of frames becomes a fixed number of latents.

Source: upstream `perceiver_encoder.py`.
"""

from __future__ import annotations

import math

from mindspore import Tensor, nn, ops

from sparktts_ms.bicodec.backbone import linear
from sparktts_ms.ops.activation import GELU
from sparktts_ms.ops.linear import Linear
from sparktts_ms.ops.parameter import weight
from sparktts_ms.weights.checkpoint import Checkpoint

HEADS, HEAD_DIM, DEPTH = 8, 64, 2


class CrossAttention(nn.Cell):
    """Latents look at themselves and at the frames; no norm before, no positions."""

    def __init__(self, weights: Checkpoint, dim: int):
        super().__init__()
        inner = HEADS * HEAD_DIM
        self.query = Linear(weights.at("to_q").take("weight", inner, dim) * HEAD_DIM**-0.5)
        self.key_value = Linear(weights.at("to_kv").take("weight", 2 * inner, dim))
        self.out = Linear(weights.at("to_out").take("weight", dim, inner))
        self.scores = ops.BatchMatMul(transpose_b=True)
        self.gather = ops.BatchMatMul()

    def construct(self, latents: Tensor, frames: Tensor) -> Tensor:
        # latents [N, C], frames [T, C] -> [N, C]
        query = self.query(latents).reshape(-1, HEADS, HEAD_DIM).transpose(1, 0, 2)
        both = self.key_value(ops.concat([latents, frames], 0)).reshape(-1, 2, HEADS, HEAD_DIM).transpose(1, 2, 0, 3)
        attention = ops.softmax(self.scores(query, both[0]), -1)
        return self.out(self.gather(attention, both[1]).transpose(1, 0, 2).reshape(latents.shape[0], -1))


class GatedFeedForward(nn.Cell):
    def __init__(self, weights: Checkpoint, dim: int):
        super().__init__()
        self.inner = int(dim * 4 * 2 / 3)
        self.widen = linear(weights.at("0"), dim, 2 * self.inner)
        self.narrow = linear(weights.at("2"), self.inner, dim)
        self.activate = GELU()

    def construct(self, x: Tensor) -> Tensor:
        y = self.widen(x)
        return self.narrow(self.activate(y[:, self.inner:]) * y[:, :self.inner])


class Perceiver(nn.Cell):
    def __init__(self, weights: Checkpoint, frame_dim: int, dim: int, latents: int):
        super().__init__()
        self.context = linear(weights.at("proj_context"), frame_dim, dim)
        self.latents = weight(weights.take("latents", latents, dim))
        self.attention = nn.CellList([CrossAttention(weights.at(f"layers.{n}.0"), dim) for n in range(DEPTH)])
        self.feed_forward = nn.CellList([GatedFeedForward(weights.at(f"layers.{n}.1"), dim) for n in range(DEPTH)])
        self.gain = weight(weights.at("norm").take("gamma", dim) * math.sqrt(dim))

    def construct(self, frames: Tensor) -> Tensor:
        # frames [T, F] -> [N, C]
        frames = self.context(frames)
        x = self.latents
        for n in range(DEPTH):
            x = x + self.attention[n](x, frames)
            x = x + self.feed_forward[n](x)
        length = ops.sqrt(ops.ReduceSum(keep_dims=True)(x * x, -1))
        return x / ops.maximum(length, 1e-12) * self.gain
