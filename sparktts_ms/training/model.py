"""Qwen2 for training: full sequences, every weight a parameter under its released name, the loss.

Inference has a network of its own (`qwen2/model.py`), with fused weights and a KV cache.
Source: arXiv 2407.10671.
"""

from __future__ import annotations

import math
import zlib

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, mint, nn, ops

from sparktts_ms.config import Qwen2Config
from sparktts_ms.ops.ascend import on_ascend
from sparktts_ms.ops.attention import MASKED
from sparktts_ms.ops.rotary import rotary_tables, rotate_half_matrix
from sparktts_ms.training.ops import Softmax, TrainableRMSNorm
from sparktts_ms.weights.checkpoint import Checkpoint


class Linear(nn.Cell):
    """x W^T + b; with a LoRA rank (arXiv 2106.09685) W and b are frozen and B A is learned."""

    def __init__(self, weights: Checkpoint, inputs: int, outputs: int, bias: bool, lora_rank: int,
                 dtype):
        super().__init__()
        self.lora_rank = lora_rank
        self.dtype = dtype
        weight = Tensor(weights.take("weight", outputs, inputs))
        self.weight = Parameter(weight, requires_grad=not lora_rank)
        self.bias = None
        if bias:
            bias_vector = Tensor(weights.take("bias", outputs))
            self.bias = Parameter(bias_vector, requires_grad=not lora_rank)
        if lora_rank:
            random = np.random.default_rng(zlib.crc32(weights.prefix.encode()))
            lora_a = random.standard_normal((lora_rank, inputs)) / math.sqrt(inputs)
            self.lora_a = Parameter(Tensor(lora_a.astype(np.float32)))
            self.lora_b = Parameter(Tensor(np.zeros((outputs, lora_rank), np.float32)))
        self.ascend = on_ascend()
        self.matmul = ops.MatMul(transpose_b=True)
        self.bias_add = ops.BiasAdd()

    def construct(self, x: Tensor) -> Tensor:
        y = self.matmul(x, self.weight.astype(self.dtype))
        if self.lora_rank:
            down = self.matmul(x, self.lora_a.astype(self.dtype))
            y = y + self.matmul(down, self.lora_b.astype(self.dtype))
        if self.bias is None:
            return y
        bias = self.bias.astype(self.dtype)
        # on Ascend BiasAdd and its gradient are compiled online
        return y + bias if self.ascend else self.bias_add(y, bias)

    def merged_weight(self) -> np.ndarray:
        """The weight [outputs, inputs], LoRA included."""
        weight = self.weight.asnumpy()
        if self.lora_rank:
            weight = weight + self.lora_b.asnumpy() @ self.lora_a.asnumpy()
        return weight


class Attention(nn.Cell):
    """Causal grouped-query attention within each sequence."""

    def __init__(self, weights: Checkpoint, config: Qwen2Config, lora_rank: int, dtype):
        super().__init__()
        size = config.hidden_size
        self.head_dim = config.head_dim
        self.num_heads = config.num_attention_heads
        self.num_kv_heads = config.num_key_value_heads
        self.group = self.num_heads // self.num_kv_heads
        self.dtype = dtype
        kv_size = self.num_kv_heads * self.head_dim
        self.q_proj = Linear(weights.at("q_proj"), size, size, True, lora_rank, dtype)
        self.k_proj = Linear(weights.at("k_proj"), size, kv_size, True, lora_rank, dtype)
        self.v_proj = Linear(weights.at("v_proj"), size, kv_size, True, lora_rank, dtype)
        self.o_proj = Linear(weights.at("o_proj"), size, size, False, lora_rank, dtype)
        self.rotate_half = Tensor(rotate_half_matrix(self.head_dim))
        self.matmul = ops.MatMul()
        self.batch_matmul = ops.BatchMatMul()
        self.batch_matmul_transposed = ops.BatchMatMul(transpose_b=True)
        self.softmax = Softmax()

    def construct(self, x: Tensor, context: tuple[Tensor, ...]) -> Tensor:
        # x [B * L, C], context from `expand_context` -> [B * L, C]
        return self.output(self.attention_weights(x, context), x)

    def attention_weights(self, x: Tensor, context: tuple[Tensor, ...]) -> Tensor:
        # -> [B, H, L, L]; the queries of one key head are rows of one product
        q_cos, q_sin, k_cos, k_sin, mask = context
        length = mask.shape[-1]
        q = self.split_heads(self.rotate(self.q_proj(x), q_cos, q_sin), self.num_heads, length)
        k = self.split_heads(self.rotate(self.k_proj(x), k_cos, k_sin), self.num_kv_heads, length)
        q = q.reshape(-1, self.group * length, self.head_dim)
        scores = self.batch_matmul_transposed(q, k).astype(ms.float32)
        weights = self.softmax(scores.reshape(-1, length) + mask).astype(self.dtype)
        return weights.reshape(-1, self.num_heads, length, length)

    def output(self, weights: Tensor, x: Tensor) -> Tensor:
        # weights [B, H, L, L], x [B * L, C] -> [B * L, C]
        length = weights.shape[-1]
        v = self.split_heads(self.v_proj(x), self.num_kv_heads, length)
        y = self.batch_matmul(weights.reshape(-1, self.group * length, length), v)
        y = y.reshape(-1, self.num_heads, length, self.head_dim).transpose(0, 2, 1, 3)
        return self.o_proj(y.reshape(x.shape[0], -1))

    def rotate(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        # x [B * L, H * D], cos and sin [B * L * H, D] -> [B * L * H, D]
        x = x.reshape(-1, self.head_dim).astype(ms.float32)
        return (x * cos + self.matmul(x, self.rotate_half) * sin).astype(self.dtype)

    def split_heads(self, x: Tensor, heads: int, length: int) -> Tensor:
        # x of B * L * H * D elements -> [B * H, L, D]
        x = x.reshape(-1, length, heads, self.head_dim).transpose(0, 2, 1, 3)
        return x.reshape(-1, length, self.head_dim)


class MLP(nn.Cell):
    def __init__(self, weights: Checkpoint, config: Qwen2Config, lora_rank: int, dtype):
        super().__init__()
        size = config.hidden_size
        inner = config.intermediate_size
        self.gate_proj = Linear(weights.at("gate_proj"), size, inner, False, lora_rank, dtype)
        self.up_proj = Linear(weights.at("up_proj"), size, inner, False, lora_rank, dtype)
        self.down_proj = Linear(weights.at("down_proj"), inner, size, False, lora_rank, dtype)

    def construct(self, x: Tensor) -> Tensor:
        gate = self.gate_proj(x)
        return self.down_proj(gate * ops.sigmoid(gate) * self.up_proj(x))


class DecoderLayer(nn.Cell):
    attention_type = Attention

    def __init__(self, weights: Checkpoint, config: Qwen2Config, lora_rank: int, dtype):
        super().__init__()
        self.input_layernorm = norm(weights.at("input_layernorm"), config, lora_rank, dtype)
        self.self_attn = self.attention_type(weights.at("self_attn"), config, lora_rank, dtype)
        self.post_attention_layernorm = norm(
            weights.at("post_attention_layernorm"), config, lora_rank, dtype)
        self.mlp = MLP(weights.at("mlp"), config, lora_rank, dtype)

    def construct(self, x: Tensor, context: tuple[Tensor, ...]) -> Tensor:
        # x float32 [B * L, C] -> [B * L, C]
        x = x + self.self_attn(self.input_layernorm(x), context).astype(ms.float32)
        return x + self.mlp(self.post_attention_layernorm(x)).astype(ms.float32)


def norm(weights: Checkpoint, config: Qwen2Config, lora_rank: int, dtype) -> TrainableRMSNorm:
    weight = weights.take("weight", config.hidden_size)
    return TrainableRMSNorm(weight, config.rms_norm_eps, trainable=not lora_rank, dtype=dtype)


class TrainableQwen2(nn.Cell):
    """Token ids and targets -> the summed cross-entropy of the targets and how many are correct.

    A subclass may replace layers (`layer_type`) and add to the loss: its `construct` returns
    (loss, correct, auxiliary loss, metrics ...), all sums over the batch.
    """

    def __init__(self, weights: Checkpoint, config: Qwen2Config, lora_rank: int = 0,
                 dtype=ms.float32):
        super().__init__()
        self.config = config
        self.dtype = dtype
        self.ascend = on_ascend()
        embedding = weights.at("embed_tokens").take("weight", config.vocab_size, config.hidden_size)
        self.embed_tokens = nn.Cell()
        self.embed_tokens.weight = Parameter(Tensor(embedding), requires_grad=not lora_rank)
        self.layers = nn.CellList([
            self.layer_type(n)(weights.at(f"layers.{n}"), config, lora_rank, dtype)
            for n in range(config.num_hidden_layers)])
        self.norm = norm(weights.at("norm"), config, lora_rank, dtype)
        self.lm_head = ops.MatMul(transpose_b=True)

    def layer_type(self, index: int) -> type[DecoderLayer]:
        return DecoderLayer

    def construct(self, ids: Tensor, targets: Tensor, loss_mask: Tensor, cos: Tensor, sin: Tensor,
                  mask: Tensor) -> tuple[Tensor, ...]:
        # ids, targets, loss_mask (0 or 1) [B * L]; cos, sin, mask from `rope_and_mask`
        x = ops.gather(self.embed_tokens.weight, ids, 0)
        context = self.expand_context(ids.shape[0] // mask.shape[-1], cos, sin, mask)
        for layer in self.layers:
            x = layer(x, context)
        return self.loss(x, targets, loss_mask)

    def loss(self, x: Tensor, targets: Tensor, loss_mask: Tensor) -> tuple[Tensor, Tensor]:
        # x [B * L, C], the last layer's output
        weight = self.embed_tokens.weight.astype(self.dtype)
        logits = self.lm_head(self.norm(x), weight).astype(ms.float32)
        log_probs = ops.gather_d(ops.log_softmax(logits, -1), 1, targets.reshape(-1, 1))
        best = mint.argmax(logits, -1) if self.ascend else ops.argmax(logits, -1)
        correct = (best.astype(ms.int32) == targets).astype(ms.float32)
        return -(log_probs.reshape(-1) * loss_mask).sum(), (correct * loss_mask).sum()

    def expand_context(self, batch: int, cos: Tensor, sin: Tensor,
                       mask: Tensor) -> tuple[Tensor, ...]:
        """Rotary tables and mask at full size (training/ops.py says why): cos and sin of queries,
        with the attention scale, and of keys, [B * L * heads, D]; mask [B * H * L, L]."""
        config = self.config
        heads = config.num_attention_heads
        kv_heads = config.num_key_value_heads
        scale = config.head_dim**-0.5

        def tile(table: Tensor, heads: int) -> Tensor:
            return ops.tile(table, (batch, 1, heads, 1)).reshape(-1, config.head_dim)

        return (tile(cos * scale, heads), tile(sin * scale, heads), tile(cos, kv_heads),
                tile(sin, kv_heads),
                ops.tile(mask, (batch * heads, 1, 1)).reshape(-1, mask.shape[-1]))

    def rope_and_mask(self, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """cos and sin [1, L, 1, D] and the causal mask [1, L, L] for sequences of `length`."""
        cos, sin = rotary_tables(length, self.config.head_dim, self.config.rope_theta)
        mask = np.triu(np.full((length, length), MASKED, np.float32), 1)
        return Tensor(cos[None, :, None]), Tensor(sin[None, :, None]), Tensor(mask[None])

    def state_dict(self) -> dict[str, np.ndarray]:
        """All weights under their released names, LoRA merged."""
        weights = {f"model.{name}": parameter.asnumpy()
                   for name, parameter in self.parameters_and_names() if ".lora_" not in name}
        for name, cell in self.cells_and_names():
            if isinstance(cell, Linear):
                weights[f"model.{name}.weight"] = cell.merged_weight()
        return weights
