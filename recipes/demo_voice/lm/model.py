"""The language model in PyTorch: whole sequences at once, and many utterances spoken side by side with a cache.

Parameters carry the names of the released file. Speech is drawn as inference draws it (`sparktts_ms/qwen2/sampling.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from recipes.demo_voice.lm.guided_attention import AttentionTargets
from sparktts_ms.config import Qwen2Config

LEAST = 1e-3            # share of attention that is as bad as none
DEEP = 7                # layers of a model that looks twice
LOOK = 8                # tokens after which it is looked who is still speaking


class Attention(nn.Module):
    def __init__(self, c: Qwen2Config):
        super().__init__()
        self.heads, self.pairs, self.size = c.num_attention_heads, c.num_key_value_heads, c.head_dim
        narrow = self.pairs * self.size
        self.q_proj, self.k_proj = nn.Linear(c.hidden_size, c.hidden_size), nn.Linear(c.hidden_size, narrow)
        self.v_proj, self.o_proj = nn.Linear(c.hidden_size, narrow), nn.Linear(c.hidden_size, c.hidden_size, bias=False)

    def split(self, x: Tensor, around: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        # x [B, L, C] -> q [B, H, L, D], k and v [B, P, L, D], q and k turned
        def heads(y: Tensor, count: int) -> Tensor:
            return y.unflatten(-1, (count, self.size)).transpose(1, 2)
        return (turn(heads(self.q_proj(x), self.heads), around), turn(heads(self.k_proj(x), self.pairs), around),
                heads(self.v_proj(x), self.pairs))

    def forward(self, x: Tensor, around: tuple[Tensor, Tensor], lead: Tensor | None = None):
        # -> [B, L, C], k, v, how far the first of each group of heads is from `lead` [B, P, L, L], or None
        q, k, v = self.split(x, around)
        group = self.heads // self.pairs
        y = F.scaled_dot_product_attention(q, k.repeat_interleave(group, 1), v.repeat_interleave(group, 1), is_causal=True)
        return self.o_proj(y.transpose(1, 2).flatten(2)), k, v, None if lead is None else self.astray(q[:, ::group], k, lead)

    def astray(self, q: Tensor, k: Tensor, lead: Tensor) -> Tensor:
        scores = q * self.size**-0.5 @ k.transpose(-1, -2)
        ahead = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        return -((scores.masked_fill(ahead, -torch.inf).float().softmax(-1) * lead).sum(-1) + LEAST).log().sum()

    def step(self, x: Tensor, around: tuple[Tensor, Tensor], keys: Tensor, values: Tensor, last: int, hidden: Tensor) -> Tensor:
        # x [B, 1, C]; keys and values [B, P, S, D], written at `last`; hidden [B, last + 1]: 0, or -inf where nothing is
        q, k, v = self.split(x, around)
        keys[:, :, last], values[:, :, last] = k[:, :, 0], v[:, :, 0]
        k, v = keys[:, :, :last + 1], values[:, :, :last + 1]
        q = q.reshape(len(x), self.pairs, -1, self.size) * self.size**-0.5
        shares = (q @ k.transpose(-1, -2) + hidden[:, None, None]).softmax(-1)
        return self.o_proj((shares @ v).reshape(len(x), 1, -1))


def turn(x: Tensor, around: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = around
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


class FeedForward(nn.Module):
    def __init__(self, c: Qwen2Config):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(c.hidden_size, c.intermediate_size, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, c: Qwen2Config):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = nn.RMSNorm(c.hidden_size, c.rms_norm_eps)
        self.mlp = FeedForward(c)


def led(layers: int) -> tuple[int, ...]:
    """The layers that look for the place in the text: the one in the middle, as in `sparktts_ms/training`, or, once `drill.py`
    has put two behind it, that and the second of them."""
    return (layers // 2,) if layers < DEEP else (layers // 2 - 1, layers // 2 + 1)


def short(device: torch.device) -> torch.autocast:
    """Products in bfloat16, where the device has them."""
    return torch.autocast(device.type, torch.bfloat16, device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported())


def welcome(where: AttentionTargets, device: torch.device) -> Tensor:
    """[B, P, L, L]: `attention_prior` on the device: it is large, and what it comes from is small."""
    centers, widths, letters = (torch.from_numpy(x).to(device) for x in (where.centers, where.widths, where.letters))
    away = (letters[:, None, None] - centers[..., None]) / widths[:, :, None]
    return torch.where(centers.isnan()[..., None], 1.0, away.square_().mul_(-0.5).exp_())


class Qwen2(nn.Module):
    def __init__(self, c: Qwen2Config):
        super().__init__()
        self.sizes = c
        self.led = led(c.num_hidden_layers)
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))
        self.norm = nn.RMSNorm(c.hidden_size, c.rms_norm_eps)

    @classmethod
    def read(cls, file: Path, c: Qwen2Config) -> Qwen2:
        net, weights = cls(c), load_file(file)
        net.load_state_dict({name.removeprefix("model."): w.float() for name, w in weights.items()})
        return net

    @property
    def device(self) -> torch.device:
        return self.norm.weight.device

    def around(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        # [..., L] -> cos and sin [..., 1, L, D], to be used for every head
        c = self.sizes
        rate = c.rope_theta ** (-torch.arange(0, c.head_dim, 2, dtype=torch.float64, device=self.device) / c.head_dim)
        angle = positions[..., None] * rate
        angle = torch.cat([angle, angle], -1).float()[..., None, :, :]
        return angle.cos(), angle.sin()

    def forward(self, ids: Tensor, cache: Cache | None = None, where: AttentionTargets | None = None, told: Callable | None = None,
                ) -> tuple[Tensor, list[Tensor]]:
        """Hidden states [B, L, C] before the logits, and how far each layer that is led is from `where` it should look, or what
        is `told` by the last of them, if that is given. What is behind a row's end does not matter to what is before it."""
        x, around, found = self.embed_tokens(ids), self.around(torch.arange(ids.shape[1], device=self.device)), []
        lead = None if where is None else welcome(where, self.device)
        for n, layer in enumerate(self.layers):
            y, k, v, astray = layer.self_attn(layer.input_layernorm(x), around, lead if n in self.led else None)
            if astray is not None:
                found.append(astray)
            if cache is not None:
                cache.keys[n][:, :, :ids.shape[1]], cache.values[n][:, :, :ids.shape[1]] = k, v
            x = x + y
            x = x + layer.mlp(layer.post_attention_layernorm(x))
            if told is not None and n == self.led[-1]:
                found.append(told(x))
        return self.norm(x), found

    def step(self, ids: Tensor, positions: Tensor, cache: Cache, last: int) -> Tensor:
        # ids, positions [B] -> [B, C]
        x, around = self.embed_tokens(ids[:, None]), self.around(positions[:, None])
        for n, layer in enumerate(self.layers):
            x = x + layer.self_attn.step(layer.input_layernorm(x), around, cache.keys[n], cache.values[n], last,
                                         cache.hidden[:, :last + 1])
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return self.norm(x)[:, 0]

    def released(self) -> dict[str, np.ndarray]:
        return {f"model.{name}": w.detach().cpu().numpy() for name, w in self.state_dict().items()}


class Cache:
    """Keys and values of rows whose prompts end at `lengths` [B]; what comes after them begins at slot `longest` in all rows."""

    def __init__(self, keys: list[Tensor], values: list[Tensor], hidden: Tensor):
        self.keys, self.values, self.hidden = keys, values, hidden

    @classmethod
    def empty(cls, c: Qwen2Config, lengths: Tensor, longest: int, more: int) -> Cache:
        shape = (len(lengths), c.num_key_value_heads, longest + more, c.head_dim)
        slots = torch.arange(longest + more, device=lengths.device)
        unwritten = (slots >= lengths[:, None]) & (slots < longest)
        return cls(*([torch.zeros(shape, device=slots.device) for _ in range(c.num_hidden_layers)] for _ in range(2)),
                   torch.zeros(unwritten.shape, device=slots.device).masked_fill(unwritten, -torch.inf))

    def only(self, rows: Tensor | slice) -> Cache:
        """Some rows: the same memory for a slice, else copied."""
        return Cache([k[rows] for k in self.keys], [v[rows] for v in self.values], self.hidden[rows])


@dataclass(frozen=True)
class Manner:
    """How speech is drawn, and the ids [N] it is drawn from, of which the last `stops` end it."""

    legal: Tensor
    stops: int
    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 0.95

    def likely(self, net: Qwen2, hidden: Tensor) -> Tensor:
        """log of the probabilities [..., N], before the unlikely are left out."""
        return (hidden @ net.embed_tokens.weight[self.legal].T / self.temperature).log_softmax(-1)

    def draw(self, likely: Tensor, luck: torch.Generator) -> Tensor:
        # [B, N] -> places in `legal` [B]
        best, which = likely.topk(min(self.top_k, likely.shape[-1]), -1)
        shares = best.exp() / best.exp().sum(-1, keepdim=True)
        shares = shares.masked_fill(shares.cumsum(-1) - shares >= self.top_p, 0)
        return which.gather(1, torch.multinomial(shares, 1, generator=luck))[:, 0]


@torch.no_grad()
def speak(net: Qwen2, prompts: list[np.ndarray], most: list[int], manner: Manner, seed: int, rows: int = 64,
          ) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of every prompt the places in `manner.legal` that were drawn, and the log of their probabilities; the stop is one of them,
    unless `most` were drawn before. `rows` prompts are read at once."""
    luck = torch.Generator(net.device).manual_seed(seed)
    lengths = torch.tensor([len(p) for p in prompts])
    longest, more, ended = int(lengths.max()), max(most), len(manner.legal) - manner.stops
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, :len(prompt)] = torch.from_numpy(prompt)
    ids, lengths, limit = (x.to(net.device) for x in (ids, lengths, torch.tensor(most)))
    cache = Cache.empty(net.sizes, lengths, longest, more)
    pieces = []
    for begin in range(0, len(prompts), rows):
        hidden, _ = net(ids[begin:begin + rows], cache.only(slice(begin, begin + rows)))
        pieces.append(hidden[torch.arange(len(hidden), device=net.device), lengths[begin:begin + rows] - 1])
    hidden, alive = torch.cat(pieces), torch.arange(len(prompts), device=net.device)
    said, chance = (torch.zeros(len(prompts), more, dtype=kind, device=net.device) for kind in (torch.long, torch.float))
    over = limit.clone()                # how many were drawn
    for n in range(more):
        likely = manner.likely(net, hidden)
        chosen = manner.draw(likely, luck)
        said[alive, n], chance[alive, n] = chosen, likely.gather(1, chosen[:, None])[:, 0]
        over[alive] = torch.where((chosen >= ended) & (over[alive] > n), n + 1, over[alive])
        if n % LOOK == LOOK - 1:
            kept = torch.nonzero(over[alive] > n + 1)[:, 0]
            if not len(kept):
                break
            if len(kept) < 0.75 * len(alive):
                cache, alive, lengths, chosen = cache.only(kept), alive[kept], lengths[kept], chosen[kept]
        hidden = net.step(manner.legal[chosen], lengths + n, cache, longest + n)
    return [(s[:count], c[:count]) for s, c, count in zip(said.cpu().numpy(), chance.cpu().numpy(), over.tolist(), strict=True)]
