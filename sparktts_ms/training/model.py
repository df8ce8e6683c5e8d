"""Qwen2 as it is trained: every weight a parameter under its released name, whole sequences at once, and the loss.

Inference has a network of its own (`qwen2/model.py`), with folded weights and a cache. Source: arXiv 2407.10671.
"""

from __future__ import annotations

import math
import zlib

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from sparktts_ms.config import Qwen2Config
from sparktts_ms.ops.rotary import rotary_tables
from sparktts_ms.training import ops as rows
from sparktts_ms.training.phones import SLOTS
from sparktts_ms.weights.checkpoint import Checkpoint

HIDDEN = -1e9       # score of a position that may not be seen
LEAST = 1e-3        # share of attention that is as bad as none
TELLING = 0.15      # weight of the word being said, which is eleven lessons at each frame, beside the other phones


class Projection(nn.Cell):
    """x @ W.T + b; with LoRA (arXiv 2106.09685) W stays and a product of two narrow matrices, which begins at zero, learns."""

    def __init__(self, weights: Checkpoint, inputs: int, outputs: int, bias: bool, rank: int, dtype):
        super().__init__()
        self.weight = Parameter(Tensor(weights.take("weight", outputs, inputs)), requires_grad=not rank)
        self.bias = Parameter(Tensor(weights.take("bias", outputs)), requires_grad=not rank) if bias else None
        self.rank, self.dtype = rank, dtype
        if rank:
            start = np.random.default_rng(zlib.crc32(weights.prefix.encode())).standard_normal((rank, inputs))
            self.lora_a = Parameter(Tensor((start / math.sqrt(inputs)).astype(np.float32)))
            self.lora_b = Parameter(Tensor(np.zeros((outputs, rank), np.float32)))
        self.matmul, self.add_bias = ops.MatMul(transpose_b=True), ops.BiasAdd()

    def construct(self, x: Tensor) -> Tensor:
        y = self.matmul(x, self.weight.astype(self.dtype))
        if self.rank:
            y = y + self.matmul(self.matmul(x, self.lora_a.astype(self.dtype)), self.lora_b.astype(self.dtype))
        if self.bias is not None:
            y = self.add_bias(y, self.bias.astype(self.dtype))
        return y

    def merged(self) -> np.ndarray:
        """The weight [O, I] with what LoRA added."""
        weight = self.weight.asnumpy()
        return weight + self.lora_b.asnumpy() @ self.lora_a.asnumpy() if self.rank else weight


class RMSNorm(nn.Cell):
    def __init__(self, weights: Checkpoint, size: int, eps: float, frozen: bool, dtype):
        super().__init__()
        self.weight = Parameter(Tensor(weights.take("weight", size)), requires_grad=not frozen)
        self.normalise, self.dtype = rows.RMSNorm(eps), dtype

    def construct(self, x: Tensor) -> Tensor:
        return self.normalise(x, self.weight).astype(self.dtype)


class Attention(nn.Cell):
    """Causal attention within each sequence; queries of one key head are rows of one product."""

    def __init__(self, weights: Checkpoint, config: Qwen2Config, rank: int, dtype):
        super().__init__()
        size, self.head_dim = config.hidden_size, config.head_dim
        self.heads, self.pairs = config.num_attention_heads, config.num_key_value_heads
        narrow = self.pairs * self.head_dim
        self.q_proj = Projection(weights.at("q_proj"), size, size, True, rank, dtype)
        self.k_proj = Projection(weights.at("k_proj"), size, narrow, True, rank, dtype)
        self.v_proj = Projection(weights.at("v_proj"), size, narrow, True, rank, dtype)
        self.o_proj = Projection(weights.at("o_proj"), size, size, False, rank, dtype)
        self.scores, self.gather = ops.BatchMatMul(transpose_b=True), ops.BatchMatMul()
        self.least, self.softmax = ops.ReduceMin(keep_dims=True), rows.Softmax()
        self.turn, self.turned = Tensor(rows.rotate_half_matrix(self.head_dim)), ops.MatMul()
        self.dtype = dtype

    def rotate(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        # x [B * L, H * D], cos and sin [B * L * H, D] -> [B * L * H, D]
        x = x.reshape(-1, self.head_dim).astype(ms.float32)
        return (x * cos + self.turned(x, self.turn) * sin).astype(self.dtype)

    def construct(self, x: Tensor, around: tuple[Tensor, ...], guide: Tensor | None, hold: Tensor | None):
        # x [B * L, C]; around: `spread`; guide [B, G, L, L] or None, for the first of each H/G heads; hold: share of their
        # attention that is the guide's -> [B * L, C], how far their own attention is from the guide
        q_cos, q_sin, k_cos, k_sin, mask = around
        length = mask.shape[-1]
        batch, group = x.shape[0] // length, self.heads // self.pairs
        q = self.rotate(self.q_proj(x), q_cos, q_sin).reshape(batch, length, self.heads, self.head_dim)
        k = self.rotate(self.k_proj(x), k_cos, k_sin).reshape(batch, length, self.pairs, self.head_dim)
        v = self.v_proj(x).reshape(batch, length, self.pairs, self.head_dim)
        q = q.transpose(0, 2, 1, 3).reshape(batch * self.pairs, group * length, self.head_dim)
        k = k.transpose(0, 2, 1, 3).reshape(batch * self.pairs, length, self.head_dim)
        v = v.transpose(0, 2, 1, 3).reshape(batch * self.pairs, length, self.head_dim)
        scores = self.scores(q, k).astype(ms.float32).reshape(-1, length) + mask
        shares = self.softmax(scores).astype(self.dtype).reshape(batch, self.heads, length, length)
        astray = None
        if guide is not None:
            shares = shares.reshape(batch, guide.shape[1], -1, length, length)
            first = shares[:, :, 0].astype(ms.float32)
            astray = -ops.log((first * guide).sum(-1) + LEAST).sum()
            led = 1 - self.least(guide, -1)                 # 0 for rows that are led nowhere
            held = first + hold * led * (guide / guide.sum(-1, keepdims=True) - first)
            shares = ops.concat([held.astype(self.dtype).expand_dims(2), shares[:, :, 1:]], 2)
        shares = shares.reshape(batch * self.pairs, group * length, length)
        y = self.gather(shares, v).reshape(batch, self.heads, length, self.head_dim)
        return self.o_proj(y.transpose(0, 2, 1, 3).reshape(batch * length, -1)), astray


class FeedForward(nn.Cell):
    def __init__(self, weights: Checkpoint, config: Qwen2Config, rank: int, dtype):
        super().__init__()
        size, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = Projection(weights.at("gate_proj"), size, inner, False, rank, dtype)
        self.up_proj = Projection(weights.at("up_proj"), size, inner, False, rank, dtype)
        self.down_proj = Projection(weights.at("down_proj"), inner, size, False, rank, dtype)

    def construct(self, x: Tensor) -> Tensor:
        gate = self.gate_proj(x)
        return self.down_proj(gate * ops.sigmoid(gate) * self.up_proj(x))


class Layer(nn.Cell):
    def __init__(self, weights: Checkpoint, config: Qwen2Config, rank: int, dtype):
        super().__init__()
        size, eps = config.hidden_size, config.rms_norm_eps
        self.input_layernorm = RMSNorm(weights.at("input_layernorm"), size, eps, bool(rank), dtype)
        self.self_attn = Attention(weights.at("self_attn"), config, rank, dtype)
        self.post_attention_layernorm = RMSNorm(weights.at("post_attention_layernorm"), size, eps, bool(rank), dtype)
        self.mlp = FeedForward(weights.at("mlp"), config, rank, dtype)

    def construct(self, x: Tensor, around: tuple[Tensor, ...], guide: Tensor | None = None, hold: Tensor | None = None):
        y, astray = self.self_attn(self.input_layernorm(x), around, guide, hold)
        x = x + y.astype(ms.float32)
        return x + self.mlp(self.post_attention_layernorm(x)).astype(ms.float32), astray


class PhoneReader(nn.Cell):
    """Reads phones off a layer's output, `slots` of them at each place; learns with the network and is not kept."""

    def __init__(self, size: int, phones: int, slots: int, eps: float):
        super().__init__()
        self.phones = phones
        self.weight = Parameter(Tensor(np.zeros((slots * phones, size), np.float32)))
        self.norm = Parameter(Tensor(np.ones(size, np.float32)))
        self.normalise, self.matmul = rows.RMSNorm(eps), ops.MatMul(transpose_b=True)

    def construct(self, x: Tensor, targets: Tensor) -> Tensor:
        # x [N, C], targets [N, slots] -> the summed cross-entropy of those that are known (not -1)
        targets = targets.reshape(-1, 1)
        likely = ops.log_softmax(self.matmul(self.normalise(x, self.norm), self.weight).reshape(-1, self.phones), -1)
        return -(ops.gather_d(likely, 1, ops.maximum(targets, 0)) * (targets >= 0).astype(ms.float32)).sum()


class TrainableQwen2(nn.Cell):
    """Ids and targets -> the summed cross-entropy of the targets that count, and how many of those the largest logit hits; then,
    if asked, how far two heads of the layer in the middle are from a guide (`guide.py`), and how badly phones are
    read off what comes before and after it (`phones.py`)."""

    def __init__(self, weights: Checkpoint, config: Qwen2Config, rank: int = 0, dtype=ms.float32, phones: int = 0):
        super().__init__()
        self.config, self.dtype = config, dtype
        self.embed_tokens = nn.Cell()
        self.embed_tokens.weight = Parameter(Tensor(weights.at("embed_tokens").take(
            "weight", config.vocab_size, config.hidden_size)), requires_grad=not rank)
        self.layers = nn.CellList([Layer(weights.at(f"layers.{n}"), config, rank, dtype)
                                   for n in range(config.num_hidden_layers)])
        self.norm = RMSNorm(weights.at("norm"), config.hidden_size, config.rms_norm_eps, bool(rank), dtype)
        self.logits = ops.MatMul(transpose_b=True)
        self.middle = config.num_hidden_layers // 2
        if phones:
            self.speller = PhoneReader(config.hidden_size, phones, SLOTS, config.rms_norm_eps)
            self.teller = PhoneReader(config.hidden_size, phones, SLOTS + 1, config.rms_norm_eps)
            self.reader = PhoneReader(config.hidden_size, phones, 1, config.rms_norm_eps)

    def construct(self, ids: Tensor, targets: Tensor, counts: Tensor, cos: Tensor, sin: Tensor, mask: Tensor,
                  guide: Tensor | None = None, hold: Tensor | None = None,
                  pronunciations: Tensor | None = None, frame_phones: Tensor | None = None, words: Tensor | None = None):
        # ids, targets, counts (0 or 1) [B * L], spellings, sounds and words: see phones.py
        table = self.embed_tokens.weight
        x = ops.gather(table, ids, 0)
        around = self.spread(ids.shape[0] // mask.shape[-1], cos, sin, mask)
        astray = misread = ops.zeros((), ms.float32)
        for n, layer in enumerate(self.layers):
            if pronunciations is not None and n == self.middle:
                misread = misread + self.speller(x, pronunciations)
            if guide is not None and n == self.middle:
                x, astray = layer(x, around, guide, hold)
            else:
                x, _ = layer(x, around)
            if words is not None and n == self.middle:
                misread = misread + TELLING * self.teller(x, words)
            if frame_phones is not None and n == min(self.middle + 1, len(self.layers) - 1):
                misread = misread + self.reader(x, frame_phones)
        logits = self.logits(self.norm(x), table.astype(self.dtype)).astype(ms.float32)
        likely = ops.log_softmax(logits, -1)
        loss = -(ops.gather_d(likely, 1, targets.reshape(-1, 1)).reshape(-1) * counts).sum()
        hits = ((ops.argmax(logits, -1).astype(ms.int32) == targets).astype(ms.float32) * counts).sum()
        return (loss, hits) if guide is None and frame_phones is None else (loss, hits, astray, misread)

    def spread(self, batch: int, cos: Tensor, sin: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """What every layer needs at full size (`ops/rows.py` says why): cos and sin of queries, their scale in them, and of
        keys, [B * L * heads, D]; mask [B * H * L, L]."""
        config, length = self.config, mask.shape[-1]
        heads, pairs, size = config.num_attention_heads, config.num_key_value_heads, config.head_dim

        def rows_of(table: Tensor, heads: int) -> Tensor:
            return ops.tile(table, (batch, 1, heads, 1)).reshape(-1, size)
        return (rows_of(cos * size**-0.5, heads), rows_of(sin * size**-0.5, heads), rows_of(cos, pairs), rows_of(sin, pairs),
                ops.tile(mask, (batch * heads, 1, 1)).reshape(-1, length))

    def surroundings(self, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """cos and sin [1, L, 1, D] and the causal mask [1, L, L] for sequences of `length`."""
        cos, sin = rotary_tables(length, self.config.head_dim, self.config.rope_theta)
        mask = np.triu(np.full((length, length), HIDDEN, np.float32), 1)
        return Tensor(cos[None, :, None]), Tensor(sin[None, :, None]), Tensor(mask[None])

    def released(self) -> dict[str, np.ndarray]:
        """All weights as the released file names them, LoRA merged."""
        found = {f"model.{name}": parameter.asnumpy() for name, parameter in self.parameters_and_names()
                 if ".lora_" not in name and not name.startswith(("speller.", "teller.", "reader."))}
        for name, cell in self.cells_and_names():
            if isinstance(cell, Projection):
                found[f"model.{name}.weight"] = cell.merged()
        return found
