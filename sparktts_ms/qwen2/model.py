"""Qwen2, decoder only. Source: arXiv 2407.10671, transformers' `Qwen2Model`.

Norm gains and the attention scale are folded into the matrices that follow them. A row of the
input is one position of one sequence. Hidden states are float32, on Ascend of the weights' type.
"""

import numpy as np
from mindspore import Tensor, nn

from sparktts_ms.config import Qwen2Config
from sparktts_ms.ops import ascend
from sparktts_ms.ops.attention import CachedAttention, StepInputs, fuse_qkv
from sparktts_ms.ops.linear import Linear, SwiGLU
from sparktts_ms.ops.native.library import array_table, custom_op
from sparktts_ms.ops.paged_attention import PagedAttention, PagedStepInputs
from sparktts_ms.ops.parameter import weight
from sparktts_ms.ops.rotary import rotary_tables
from sparktts_ms.qwen2.calibration import NO_CALIBRATION, Calibration
from sparktts_ms.qwen2.precision import stored_dtype
from sparktts_ms.weights.checkpoint import Checkpoint


class DecoderLayer(nn.Cell):
    """Attention and feed-forward, each after a norm and added to its input."""

    def __init__(self, weights: Checkpoint, config: Qwen2Config, attention: nn.Cell, dtype: str,
                 layer: int, calibration: Calibration):
        super().__init__()
        size = config.hidden_size
        inner = config.intermediate_size
        eps = config.rms_norm_eps

        # No variable holds a matrix for longer than its layer needs it, for the peak of memory.
        gain = weights.at("input_layernorm").take("weight", size)
        self.qkv_proj = Linear(*fuse_qkv(
            weights.at("self_attn"), size, config.num_attention_heads, config.num_key_value_heads,
            config.head_dim, gain), stored_dtype(dtype, "qkv", layer), eps)
        self.attention = attention
        calibration.attend(self.qkv_proj, attention)
        stored = stored_dtype(dtype, "o", layer)
        self.o_proj = Linear(weights.at("self_attn.o_proj").take("weight", size, size), None,
                             stored, factor=calibration.factor(stored))
        calibration.add(self.o_proj)

        gain = weights.at("post_attention_layernorm").take("weight", size)
        stored = stored_dtype(dtype, "gate_up", layer)
        self.gate_up_proj = SwiGLU(
            weights.at("mlp.gate_proj").take("weight", inner, size) * gain,
            weights.at("mlp.up_proj").take("weight", inner, size) * gain,
            stored, eps, calibration.factor(stored, eps))
        calibration.activate(self.gate_up_proj)
        stored = stored_dtype(dtype, "down", layer)
        self.down_proj = Linear(weights.at("mlp.down_proj").take("weight", size, inner), None,
                                stored, factor=calibration.factor(stored))
        calibration.add(self.down_proj)

    def construct(self, x: Tensor, *inputs: Tensor) -> Tensor:
        # x [R, C], the attention's inputs -> [R, C]
        x = self.o_proj(self.attention(self.qkv_proj(x), *inputs), x)
        return self.down_proj(self.gate_up_proj(x), x)


class Qwen2(nn.Cell):
    """Hidden states of the embeddings; the final norm belongs to the `LMHead`.

    step_inputs: makes the inputs of a step (see StepInputs). calibration: of 4-bit weights.
    """

    def __init__(self, weights: Checkpoint, config: Qwen2Config, num_slots: int, max_length: int,
                 dtype: str, cache_dtype, calibration: Calibration = NO_CALIBRATION):
        super().__init__()
        heads = config.num_attention_heads
        kv_heads = config.num_key_value_heads
        tables = rotary_tables(max_length, config.head_dim, config.rope_theta)
        paged = ascend.on_ascend()
        self.step_inputs = StepInputs()
        if paged:
            self.step_inputs = PagedStepInputs(heads, kv_heads, num_slots, *tables,
                                               cache_dtype)
        else:
            cos, sin = map(weight, tables)
        layers = []
        for n in range(config.num_hidden_layers):
            if paged:
                attention = PagedAttention(heads, kv_heads, num_slots, max_length, config.head_dim,
                                           cache_dtype)
            else:
                attention = CachedAttention(heads, kv_heads, num_slots, cos, sin, cache_dtype)
            layers.append(DecoderLayer(weights.at(f"layers.{n}"), config, attention, dtype, n,
                                       calibration))
        self.layers = nn.CellList(layers)
        self.fused = custom_op("decoder")       # all layers are one operator
        if self.fused is not None:
            self.eps = Tensor(np.array([config.rms_norm_eps], np.float32))
            self.inner = Tensor(np.array([config.intermediate_size], np.int32))
            self.tables = (cos, sin)
            self.arrays = Tensor(np.stack([array_table(*_arrays(layer)) for layer in layers]))

    def construct(self, x: Tensor, inputs: tuple) -> Tensor:
        # x [R, C], the inputs of each layer -> [R, C]
        if self.fused is not None:
            return self.fused(x, self.eps, self.inner, *inputs, *self.tables, self.arrays)
        for layer in self.layers:
            x = layer(x, *inputs)
        return x


def _arrays(layer: DecoderLayer) -> list[Tensor]:
    """What the kernel `decoder` reads of a layer, in its order."""
    attention = layer.attention
    return [layer.qkv_proj.weight, layer.qkv_proj.bias, layer.o_proj.weight, layer.o_proj.bias,
            layer.gate_up_proj.weight, layer.down_proj.weight, attention.keys, attention.values]
