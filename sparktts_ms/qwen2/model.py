"""Qwen2, decoder only. Source: arXiv 2407.10671, transformers' `Qwen2Model`.

Norm gains and the attention scale are folded into the matrices that follow them. A row is one position of one sequence; the
residual stream is float32, matrices and cache have the runtime's data type.
"""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, nn

from sparktts_ms.config import Qwen2Config
from sparktts_ms.ops.attention import CachedAttention
from sparktts_ms.ops.linear import Linear, SwiGLU
from sparktts_ms.ops.parameter import weight
from sparktts_ms.qwen2.rotary import rotary_tables
from sparktts_ms.weights.checkpoint import Checkpoint


class Layer(nn.Cell):
    def __init__(self, weights: Checkpoint, config: Qwen2Config, attention: CachedAttention, dtype: str):
        super().__init__()
        size, inner, eps = config.hidden_size, config.intermediate_size, config.rms_norm_eps
        source, feed = weights.at("self_attn"), weights.at("mlp")

        gain = weights.at("input_layernorm").take("weight", size)
        matrices, biases = [], []
        for name, heads, scale in (("q_proj", config.num_attention_heads, config.head_dim**-0.5),
                                   ("k_proj", config.num_key_value_heads, 1.0),
                                   ("v_proj", config.num_key_value_heads, 1.0)):
            part, outputs = source.at(name), heads * config.head_dim
            matrices.append(part.take("weight", outputs, size) * (gain * np.float32(scale)))
            biases.append(part.take("bias", outputs) * np.float32(scale))
        self.query_key_value = Linear(np.concatenate(matrices), np.concatenate(biases), dtype, eps)
        self.attention = attention
        self.out = Linear(source.at("o_proj").take("weight", size, size), None, dtype)

        gain = weights.at("post_attention_layernorm").take("weight", size)
        self.gate_up = SwiGLU(feed.at("gate_proj").take("weight", inner, size) * gain,
                              feed.at("up_proj").take("weight", inner, size) * gain, dtype, eps)
        self.down = Linear(feed.at("down_proj").take("weight", size, inner), None, dtype)

    def construct(self, x: Tensor, positions: Tensor, slots: Tensor) -> Tensor:
        # x [R, C] -> [R, C]
        x = self.out(self.attention(self.query_key_value(x), positions, slots), x)
        return self.down(self.gate_up(x), x)


class Qwen2(nn.Cell):
    """The layers and their caches: embeddings in, the residual stream out. The final norm belongs to the `LMHead`."""

    def __init__(self, weights: Checkpoint, config: Qwen2Config, slots: int, capacity: int, dtype: str, cache_dtype):
        super().__init__()
        cos, sin = (weight(table) for table in rotary_tables(capacity, config.head_dim, config.rope_theta))
        self.layers = nn.CellList([
            Layer(weights.at(f"layers.{n}"), config,
                  CachedAttention(config.num_attention_heads, config.num_key_value_heads, slots, cos, sin, cache_dtype), dtype)
            for n in range(config.num_hidden_layers)])

    def construct(self, x: Tensor, positions: Tensor, slots: Tensor) -> Tensor:
        # x [R, C]; row r is position positions[r] (negative: no row) of the sequence in slots[r] -> [R, C]
        for layer in self.layers:
            x = layer(x, positions, slots)
        return x
