"""Qwen2, decoder only. Source: arXiv 2407.10671, transformers' `Qwen2Model`.

Norm gains and the attention scale are folded into the matrices that follow them. Rows are positions of one sequence; the
residual stream is float32, matrices and cache have the runtime's data type.
"""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, nn

from sparktts_ms.config import Qwen2Config
from sparktts_ms.ops.activation import SwiGLU
from sparktts_ms.ops.linear import Linear
from sparktts_ms.ops.normalization import RMSNorm
from sparktts_ms.ops.parameter import weight
from sparktts_ms.qwen2.cache import Cache
from sparktts_ms.weights.source import WeightSource


class Layer(nn.Cell):
    """`read` leads up to attention, `think` on from it; between them stands the cache."""

    def __init__(self, weights: WeightSource, config: Qwen2Config, dtype):
        super().__init__()
        size, inner = config.hidden_size, config.intermediate_size
        attention, feed = weights.at("self_attn"), weights.at("mlp")
        self.norm = RMSNorm(config.rms_norm_eps)

        gain = weights.at("input_layernorm").take("weight", size)
        matrices, biases = [], []
        for name, heads, scale in (("q_proj", config.num_attention_heads, config.head_dim**-0.5),
                                   ("k_proj", config.num_key_value_heads, 1.0),
                                   ("v_proj", config.num_key_value_heads, 1.0)):
            part, outputs = attention.at(name), heads * config.head_dim
            matrices.append(part.take("weight", outputs, size) * (gain * np.float32(scale)))
            biases.append(part.take("bias", outputs) * np.float32(scale))
        self.query_key_value = Linear(np.concatenate(matrices), np.concatenate(biases), dtype)
        self.out = Linear(attention.at("o_proj").take("weight", size, size), None, dtype)

        gain = weights.at("post_attention_layernorm").take("weight", size)
        self.gate_up = Linear(np.concatenate([feed.at(name).take("weight", inner, size) * gain
                                              for name in ("gate_proj", "up_proj")]), None, dtype)
        self.activate = SwiGLU()
        self.down = Linear(feed.at("down_proj").take("weight", size, inner), None, dtype)

    def read(self, x: Tensor) -> Tensor:
        # [T, C] -> queries, keys and values side by side, [T, (heads + 2 groups) D]
        return self.query_key_value(self.norm(x))

    def think(self, x: Tensor, seen: Tensor) -> Tensor:
        # x [T, C], seen [T, heads D] -> [T, C]
        x = x + self.out(seen)
        return x + self.down(self.activate(self.gate_up(self.norm(x))))


class Qwen2(nn.Cell):
    """The layers, without embedding, attention and output matrix."""

    def __init__(self, weights: WeightSource, config: Qwen2Config, dtype):
        super().__init__()
        self.layers = nn.CellList([Layer(weights.at(f"layers.{n}"), config, dtype)
                                   for n in range(config.num_hidden_layers)])
        self.norm = RMSNorm(config.rms_norm_eps)
        self.gain = weight(weights.at("norm").take("weight", config.hidden_size))


class Reader(nn.Cell):
    """The network on one cache: embeddings of new positions in, their final hidden states out."""

    def __init__(self, network: Qwen2, cache: Cache):
        super().__init__()
        self.network, self.cache = network, cache
        self.depth = len(network.layers)
        self.fused = cache.fused

    def construct(self, x: Tensor, positions: Tensor) -> Tensor:
        # x [T, C], positions [T] -> [T, C]
        if self.fused is not None and x.shape[0] == 1:
            for n in range(self.depth):
                layer, store = self.network.layers[n], self.cache.layers[n]
                seen = self.fused(layer.read(x), self.cache.cos, self.cache.sin, store.keys, store.values, positions)
                x = layer.think(x, seen)
        else:
            turns, rows, barred = self.cache.place(positions)
            for n in range(self.depth):
                layer = self.network.layers[n]
                x = layer.think(x, self.cache.layers[n](layer.read(x), turns, rows, barred))
        return self.network.norm(x) * self.network.gain
