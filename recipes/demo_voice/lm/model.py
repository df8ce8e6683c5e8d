"""Qwen2 in PyTorch: full sequences for training, and decode steps with a KV cache.

Parameters have the names of the released file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from recipes.demo_voice.lm.guided_attention import AttentionTargets
from sparktts_ms.config import Qwen2Config
from sparktts_ms.config_files import read_config
from sparktts_ms.generation.vocabulary import Vocabulary

MIN_ATTENTION = 1e-3            # added to attention weights before the logarithm
MIN_LOCATION_LAYERS = 7         # layers of a model that has location layers (location_layers.py)

Rope = tuple[Tensor, Tensor]    # cosines and sines of the rotary position embedding


@dataclass
class KVCache:
    """Keys and values of each layer, [B, KV heads, slots, D], and an additive mask [B, slots]."""

    keys: list[Tensor]
    values: list[Tensor]
    mask: Tensor

    @classmethod
    def empty(cls, config: Qwen2Config, lengths: Tensor, prompt_slots: int, new_slots: int,
              ) -> KVCache:
        """For prompts of `lengths` [B] in the first slots; new tokens begin at `prompt_slots` in
        all rows, and slots between are masked."""
        num_slots = prompt_slots + new_slots
        shape = (len(lengths), config.num_key_value_heads, num_slots, config.head_dim)
        slots = torch.arange(num_slots, device=lengths.device)
        unused = (slots >= lengths[:, None]) & (slots < prompt_slots)
        layers = range(config.num_hidden_layers)
        return cls(
            [torch.zeros(shape, device=slots.device) for _ in layers],
            [torch.zeros(shape, device=slots.device) for _ in layers],
            torch.zeros(unused.shape, device=slots.device).masked_fill(unused, -torch.inf),
        )

    def select(self, rows: Tensor | slice) -> KVCache:
        """Some rows: a view for a slice, else a copy."""
        keys = [k[rows] for k in self.keys]
        return KVCache(keys, [v[rows] for v in self.values], self.mask[rows])


class Attention(nn.Module):
    def __init__(self, config: Qwen2Config):
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.num_kv_heads = config.num_key_value_heads
        self.head_dim = config.head_dim
        hidden_size = config.hidden_size
        kv_size = self.num_kv_heads * self.head_dim
        self.q_proj = nn.Linear(hidden_size, hidden_size)
        self.k_proj = nn.Linear(hidden_size, kv_size)
        self.v_proj = nn.Linear(hidden_size, kv_size)
        self.o_proj = nn.Linear(hidden_size, hidden_size, bias=False)

    def project(self, x: Tensor, rope: Rope) -> tuple[Tensor, Tensor, Tensor]:
        # x [B, L, C] -> q [B, H, L, D], k and v [B, KV heads, L, D]
        q = rotate(self._heads(self.q_proj(x), self.num_heads), rope)
        k = rotate(self._heads(self.k_proj(x), self.num_kv_heads), rope)
        return q, k, self._heads(self.v_proj(x), self.num_kv_heads)

    def _heads(self, x: Tensor, count: int) -> Tensor:
        return x.unflatten(-1, (count, self.head_dim)).transpose(1, 2)

    def forward(self, x: Tensor, rope: Rope, prior: Tensor | None = None,
                ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        # x [B, L, C], prior [B, KV heads, L, L] -> output [B, L, C], keys, values, and the guided
        # attention loss of the first head of each group, None without a prior
        q, k, v = self.project(x, rope)
        group = self.num_heads // self.num_kv_heads
        y = F.scaled_dot_product_attention(
            q, k.repeat_interleave(group, 1), v.repeat_interleave(group, 1), is_causal=True)
        loss = None if prior is None else self._guided_attention_loss(q[:, ::group], k, prior)
        return self.o_proj(y.transpose(1, 2).flatten(2)), k, v, loss

    def _guided_attention_loss(self, q: Tensor, k: Tensor, prior: Tensor) -> Tensor:
        scores = q * self.head_dim**-0.5 @ k.transpose(-1, -2)
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        weights = scores.masked_fill(future, -torch.inf).float().softmax(-1)
        return -((weights * prior).sum(-1) + MIN_ATTENTION).log().sum()

    def decode_step(self, x: Tensor, rope: Rope, keys: Tensor, values: Tensor, slot: int,
                    mask: Tensor) -> Tensor:
        # x [B, 1, C]; keys, values [B, KV heads, slots, D], written at `slot`; mask [B, slot + 1]
        q, k, v = self.project(x, rope)
        keys[:, :, slot] = k[:, :, 0]
        values[:, :, slot] = v[:, :, 0]
        q = q.reshape(len(x), self.num_kv_heads, -1, self.head_dim) * self.head_dim**-0.5
        scores = q @ keys[:, :, :slot + 1].transpose(-1, -2) + mask[:, None, None]
        y = scores.softmax(-1) @ values[:, :, :slot + 1]
        return self.o_proj(y.reshape(len(x), 1, -1))


def rotate(x: Tensor, rope: Rope) -> Tensor:
    cos, sin = rope
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


class FeedForward(nn.Module):
    def __init__(self, config: Qwen2Config):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    def __init__(self, config: Qwen2Config):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = FeedForward(config)


def guided_layers(num_layers: int) -> tuple[int, ...]:
    """Indices of the layers with guided attention: the middle one, as in pretraining, or, with two
    location layers behind it, that and the second of them."""
    if num_layers < MIN_LOCATION_LAYERS:
        return (num_layers // 2,)
    return (num_layers // 2 - 1, num_layers // 2 + 1)


def mixed_precision(device: torch.device) -> torch.autocast:
    """Matrix products in bfloat16 where the device supports it."""
    supported = device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, supported)


def attention_prior(targets: AttentionTargets, device: torch.device) -> Tensor:
    """[B, KV heads, L, L]: as `guided_attention.attention_prior`, computed on the device."""
    centers = torch.from_numpy(targets.centers).to(device)
    widths = torch.from_numpy(targets.widths).to(device)
    letters = torch.from_numpy(targets.letters).to(device)
    distance = (letters[:, None, None] - centers[..., None]) / widths[:, :, None]
    return torch.where(centers.isnan()[..., None], 1.0, distance.square_().mul_(-0.5).exp_())


@dataclass(frozen=True)
class Output:
    hidden: Tensor                          # [B, L, C], before the LM head
    attention_losses: list[Tensor]          # of each guided layer, summed over queries and heads
    guided_hidden: Tensor                   # [B, L, C], after the last guided layer


class Qwen2(nn.Module):
    def __init__(self, config: Qwen2Config):
        super().__init__()
        self.config = config
        self.guided_layers = guided_layers(config.num_hidden_layers)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        layers = [DecoderLayer(config) for _ in range(config.num_hidden_layers)]
        self.layers = nn.ModuleList(layers)
        self.norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)

    @classmethod
    def from_pretrained(cls, model_dir: Path) -> Qwen2:
        model = cls(read_config(model_dir).llm)
        weights = load_file(model_dir / "LLM" / "model.safetensors")
        model.load_state_dict({k.removeprefix("model."): w.float() for k, w in weights.items()})
        return model

    @property
    def device(self) -> torch.device:
        return self.norm.weight.device

    def rope(self, positions: Tensor) -> Rope:
        """positions [..., L] -> cosines and sines [..., 1, L, D]."""
        dim = self.config.head_dim
        exponents = torch.arange(0, dim, 2, dtype=torch.float64, device=self.device) / dim
        frequencies = self.config.rope_theta ** -exponents
        angles = positions[..., None] * frequencies
        angles = torch.cat([angles, angles], -1).float()[..., None, :, :]
        return angles.cos(), angles.sin()

    def forward(self, ids: Tensor, cache: KVCache | None = None,
                targets: AttentionTargets | None = None) -> Output:
        """ids [B, L], padded on the right; fills `cache`, and computes guided attention losses if
        there are targets."""
        length = ids.shape[1]
        x = self.embed_tokens(ids)
        guided_hidden = x
        rope = self.rope(torch.arange(length, device=self.device))
        prior = None if targets is None else attention_prior(targets, self.device)
        losses = []
        for n, layer in enumerate(self.layers):
            guided = n in self.guided_layers
            y, k, v, loss = layer.self_attn(layer.input_layernorm(x), rope,
                                            prior if guided else None)
            if loss is not None:
                losses.append(loss)
            if cache is not None:
                cache.keys[n][:, :, :length] = k
                cache.values[n][:, :, :length] = v
            x = x + y
            x = x + layer.mlp(layer.post_attention_layernorm(x))
            if guided:
                guided_hidden = x
        return Output(self.norm(x), losses, guided_hidden)

    def decode_step(self, ids: Tensor, positions: Tensor, cache: KVCache, slot: int) -> Tensor:
        """ids and positions [B] -> hidden states [B, C]; keys and values are written at `slot`."""
        x = self.embed_tokens(ids[:, None])
        rope = self.rope(positions[:, None])
        mask = cache.mask[:, :slot + 1]
        for layer, keys, values in zip(self.layers, cache.keys, cache.values, strict=True):
            y = layer.input_layernorm(x)
            x = x + layer.self_attn.decode_step(y, rope, keys, values, slot, mask)
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return self.norm(x)[:, 0]

    def released_weights(self) -> dict[str, np.ndarray]:
        return {f"model.{name}": w.detach().cpu().numpy() for name, w in self.state_dict().items()}


def load_vocabulary(model_dir: Path) -> Vocabulary:
    config = read_config(model_dir).llm
    path = model_dir / "LLM" / "tokenizer.json"
    return Vocabulary(path, config.eos_token_id, config.vocab_size)


@torch.no_grad()
def update_ema(ema: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of the weights."""
    torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - decay)
