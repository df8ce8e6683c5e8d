"""Qwen2, decoder only. Source: SPEC 9, arXiv 2407.10671.

Norm gains and the attention scale are folded into the matrices that follow them. Rows are positions of one sequence; the
residual stream is float32, matrices and cache have the runtime's data type.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from sparktts_ms.config import Qwen2Config
from sparktts_ms.ops.linear import Linear
from sparktts_ms.ops.normalization import RMSNorm
from sparktts_ms.ops.parameter import weight
from sparktts_ms.qwen2.cache import Cache
from sparktts_ms.qwen2.rotary import half_turn, rotary_tables
from sparktts_ms.weights.source import WeightSource

BARRED = -1e9


class Attention(nn.Cell):
    """Grouped-query attention; query head i reads key/value head i // (heads / groups)."""

    def __init__(self, weights: WeightSource, gain: np.ndarray, config: Qwen2Config, dtype):
        super().__init__()
        size, self.head_dim = config.hidden_size, config.head_dim
        self.heads, self.groups = config.num_attention_heads, config.num_key_value_heads

        def project(name: str, outputs: int, scale: float = 1.0) -> Linear:
            part, scale = weights.at(name), np.float32(scale)
            return Linear(part.take("weight", outputs, size) * (gain * scale), part.take("bias", outputs) * scale, dtype)

        self.query = project("q_proj", size, self.head_dim**-0.5)
        self.key = project("k_proj", self.groups * self.head_dim)
        self.value = project("v_proj", self.groups * self.head_dim)
        self.out = Linear(weights.at("o_proj").take("weight", size, size), None, dtype)
        self.turn = weight(half_turn(self.head_dim))
        self.rotate = ops.MatMul()
        self.scores = ops.BatchMatMul(transpose_b=True)
        self.gather = ops.BatchMatMul()
        self.dtype = dtype

    def read(self, x: Tensor, turns: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        # x [T, C] -> query [heads T, D], key and value [groups T, D]; heads first
        cos_query, sin_query, cos_key, sin_key = turns
        query = self.turned(self.query(x).reshape(-1, self.head_dim), cos_query, sin_query)
        key = self.turned(self.key(x).reshape(-1, self.head_dim), cos_key, sin_key)
        value = self.value(x).reshape(-1, self.head_dim)
        return self.heads_first(query, self.heads), self.heads_first(key, self.groups), self.heads_first(
            value, self.groups)

    def look(self, query: Tensor, keys: Tensor, values: Tensor, barred: Tensor) -> Tensor:
        # query [heads T, D], keys and values [groups, capacity, D], barred [groups, heads / groups T, capacity] -> [T, C]
        scores = self.scores(query.reshape(self.groups, -1, self.head_dim), keys).astype(ms.float32) + barred
        y = self.gather(ops.softmax(scores, -1).astype(self.dtype), values).astype(ms.float32)
        return self.out(self.positions_first(y.reshape(-1, self.head_dim)).reshape(-1, self.heads * self.head_dim))

    def turned(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        # all [T heads, D]
        return x * cos + self.rotate(x, self.turn) * sin

    def heads_first(self, x: Tensor, heads: int) -> Tensor:
        # [T heads, D] -> [heads T, D]; with one position the two orders are one
        x = x.astype(self.dtype)
        if x.shape[0] == heads:
            return x
        return x.reshape(-1, heads, self.head_dim).transpose(1, 0, 2).reshape(-1, self.head_dim)

    def positions_first(self, x: Tensor) -> Tensor:
        # [heads T, D] -> [T heads, D]
        if x.shape[0] == self.heads:
            return x
        return x.reshape(self.heads, -1, self.head_dim).transpose(1, 0, 2)


class FeedForward(nn.Cell):
    """SwiGLU."""

    def __init__(self, weights: WeightSource, gain: np.ndarray, config: Qwen2Config, dtype):
        super().__init__()
        size, inner = config.hidden_size, config.intermediate_size
        self.gate = Linear(weights.at("gate_proj").take("weight", inner, size) * gain, None, dtype)
        self.up = Linear(weights.at("up_proj").take("weight", inner, size) * gain, None, dtype)
        self.down = Linear(weights.at("down_proj").take("weight", size, inner), None, dtype)

    def construct(self, x: Tensor) -> Tensor:
        return self.down(ops.silu(self.gate(x)) * self.up(x))


class Layer(nn.Cell):
    def __init__(self, weights: WeightSource, config: Qwen2Config, dtype):
        super().__init__()
        size = config.hidden_size
        self.norm = RMSNorm(config.rms_norm_eps)
        self.attention = Attention(weights.at("self_attn"), weights.at("input_layernorm").take("weight", size), config,
                                   dtype)
        self.feed = FeedForward(weights.at("mlp"), weights.at("post_attention_layernorm").take("weight", size), config,
                                dtype)

    def read(self, x: Tensor, turns: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        return self.attention.read(self.norm(x), turns)

    def think(self, x: Tensor, query: Tensor, keys: Tensor, values: Tensor, barred: Tensor) -> Tensor:
        x = x + self.attention.look(query, keys, values, barred)
        return x + self.feed(self.norm(x))


class Qwen2(nn.Cell):
    """The layers, without the embedding; `Reader` runs them over a cache."""

    def __init__(self, weights: WeightSource, config: Qwen2Config, dtype):
        super().__init__()
        self.layers = nn.CellList([Layer(weights.at(f"layers.{n}"), config, dtype)
                                   for n in range(config.num_hidden_layers)])
        self.norm = RMSNorm(config.rms_norm_eps)
        self.gain = weight(weights.at("norm").take("weight", config.hidden_size))


class Reader(nn.Cell):
    """The network on one cache: embeddings of new positions in, their final hidden states out."""

    def __init__(self, network: Qwen2, cache: Cache, config: Qwen2Config):
        super().__init__()
        self.network, self.cache = network, cache
        self.heads, self.groups, self.head_dim = (config.num_attention_heads, config.num_key_value_heads,
                                                  config.head_dim)
        cos, sin = rotary_tables(cache.capacity, self.head_dim, config.rope_theta)
        self.cos, self.sin = weight(cos), weight(sin)
        self.blocks = Tensor(np.arange(self.groups, dtype=np.int32)[:, None] * cache.capacity)
        self.places = Tensor(np.arange(cache.capacity, dtype=np.int32)[None])

    def construct(self, x: Tensor, positions: Tensor) -> Tensor:
        # x [T, C], positions [T] -> [T, C]
        rows = (self.blocks + positions.reshape(1, -1)).reshape(-1)
        cos, sin = ops.gather(self.cos, positions, 0), ops.gather(self.sin, positions, 0)
        turns = (self.spread(cos, self.heads), self.spread(sin, self.heads),
                 self.spread(cos, self.groups), self.spread(sin, self.groups))
        # Full-size, once: broadcasting it in every layer is dear (see ops/convolution.py).
        later = (self.places > positions.reshape(-1, 1)).astype(ms.float32) * BARRED
        barred = ops.tile(later, (self.heads, 1)).reshape(self.groups, -1, self.cache.capacity)
        for layer, cache in zip(self.network.layers, self.cache.layers):  # noqa: B905 - graphs know no `strict`
            query, key, value = layer.read(x, turns)
            keys, values = cache(rows, key, value)
            x = layer.think(x, query, keys, values, barred)
        return self.network.norm(x) * self.network.gain

    def spread(self, table: Tensor, heads: int) -> Tensor:
        # [T, D] -> [T heads, D]
        return ops.tile(table, (1, heads)).reshape(-1, self.head_dim)
