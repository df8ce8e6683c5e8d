"""Batched sampling of speech tokens, with the distribution of `sparktts_ms/qwen2/sampling.py`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recipes.demo_voice.lm.model import KVCache, Qwen2

COMPACT_EVERY = 8       # steps after which finished sequences are dropped from the batch
COMPACT_BELOW = 0.75    # if no more than this fraction of it is unfinished
PREFILL_BATCH = 64


@dataclass(frozen=True)
class Sampler:
    """allowed_ids [N]: token ids that may be sampled; the last `num_stop_ids` end speech."""

    allowed_ids: Tensor
    num_stop_ids: int
    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 0.95

    @property
    def first_stop(self) -> int:
        """Index in `allowed_ids` of the first stop id."""
        return len(self.allowed_ids) - self.num_stop_ids

    def log_probs(self, model: Qwen2, hidden: Tensor) -> Tensor:
        """hidden [..., C] -> [..., N], before top-k and top-p."""
        logits = hidden @ model.embed_tokens.weight[self.allowed_ids].T
        return (logits / self.temperature).log_softmax(-1)

    def sample(self, log_probs: Tensor, generator: torch.Generator) -> Tensor:
        """log_probs [B, N] -> indices in `allowed_ids` [B]."""
        top, indices = log_probs.topk(min(self.top_k, log_probs.shape[-1]), -1)
        probs = top.exp() / top.exp().sum(-1, keepdim=True)
        probs = probs.masked_fill(probs.cumsum(-1) - probs >= self.top_p, 0)
        return indices.gather(1, torch.multinomial(probs, 1, generator=generator))[:, 0]


@torch.no_grad()
def generate(model: Qwen2, prompts: list[np.ndarray], max_tokens: list[int], sampler: Sampler,
             seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Sample a continuation of each prompt: indices in `sampler.allowed_ids`, with the stop id
    unless `max_tokens` come before it, and their log probabilities."""
    device = model.device
    generator = torch.Generator(device).manual_seed(seed)
    new_slots = max(max_tokens)
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    prompt_slots = int(lengths.max())
    ids = torch.zeros(len(prompts), prompt_slots, dtype=torch.long)
    for row, prompt in zip(ids, prompts, strict=True):
        row[:len(prompt)] = torch.from_numpy(prompt)
    lengths = lengths.to(device)
    cache = KVCache.empty(model.config, lengths, prompt_slots, new_slots)
    hidden = _prefill(model, ids.to(device), lengths, cache)
    active = torch.arange(len(prompts), device=device)          # rows of the output in the batch
    tokens = torch.zeros(len(prompts), new_slots, dtype=torch.long, device=device)
    token_log_probs = torch.zeros(len(prompts), new_slots, device=device)
    counts = torch.tensor(max_tokens).to(device)
    for step in range(new_slots):
        log_probs = sampler.log_probs(model, hidden)
        chosen = sampler.sample(log_probs, generator)
        tokens[active, step] = chosen
        token_log_probs[active, step] = log_probs.gather(1, chosen[:, None])[:, 0]
        stopped = (chosen >= sampler.first_stop) & (counts[active] > step)
        counts[active] = torch.where(stopped, step + 1, counts[active])
        if step % COMPACT_EVERY == COMPACT_EVERY - 1:
            unfinished = torch.nonzero(counts[active] > step + 1)[:, 0]
            if not len(unfinished):
                break
            if len(unfinished) < COMPACT_BELOW * len(active):
                cache = cache.select(unfinished)
                active = active[unfinished]
                lengths = lengths[unfinished]
                chosen = chosen[unfinished]
        next_ids = sampler.allowed_ids[chosen]
        hidden = model.decode_step(next_ids, lengths + step, cache, prompt_slots + step)
    samples = []
    for row, log_row, count in zip(tokens.cpu().numpy(), token_log_probs.cpu().numpy(),
                                   counts.tolist(), strict=True):
        samples.append((row[:count], log_row[:count]))
    return samples


def _prefill(model: Qwen2, ids: Tensor, lengths: Tensor, cache: KVCache) -> Tensor:
    """Hidden states [B, C] of the last token of each prompt."""
    states = []
    for begin in range(0, len(ids), PREFILL_BATCH):
        rows = slice(begin, begin + PREFILL_BATCH)
        hidden = model(ids[rows], cache.select(rows)).hidden
        states.append(hidden[torch.arange(len(hidden), device=ids.device), lengths[rows] - 1])
    return torch.cat(states)
