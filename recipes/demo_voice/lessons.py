"""What true speech teaches: the next id, where to look, and which word is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from language import Qwen2
from stray import strayed
from torch import Tensor, nn

from sparktts_ms.training.batches import Batch
from sparktts_ms.training.guide import guide
from sparktts_ms.training.phones import SLOTS, words
from sparktts_ms.vocabulary import Vocabulary

WEIGHTS = {"true": 1.0, "astray": 0.5, "told": 0.15}    # of the next id, of where to look, of which word is being said


class Teller(nn.Module):
    """Which word is being said, in phones, and which of them: read off a layer's output, and not kept."""

    def __init__(self, width: int, names: int):
        super().__init__()
        self.norm, self.read = nn.RMSNorm(width), nn.Linear(width, (SLOTS + 1) * names)

    def forward(self, x: Tensor, said: Tensor) -> Tensor:
        # [B, L, C], [B * L, 11] with -1 where nothing is known -> sum of cross-entropies over frames, mean over slots
        known = said[:, 0] >= 0
        likely = self.read(self.norm(x.float().flatten(0, 1)[known])).unflatten(-1, (SLOTS + 1, -1))
        return F.cross_entropy(likely.flatten(0, 1), said[known].flatten().long(), reduction="sum") / (SLOTS + 1)


def spoken(batch: Batch, v: Vocabulary) -> np.ndarray:
    """[B, L]: 1 where the next id is speech, a prompt's too, or its end."""
    found = np.zeros_like(batch.counts)
    for row, ids in enumerate(batch.ids):
        starts, ends = np.flatnonzero(ids == v.start_semantic_token), np.flatnonzero(batch.counts[row])
        if len(starts) and len(ends):
            found[row, starts[0]:ends[-1] + 1] = 1
    return found


class Lesson:
    """True speech in batches -> gradients, and losses by name. With the `names` of the phones it also teaches which word is said;
    with `random`, what is read goes astray now and then."""

    def __init__(self, net: Qwen2, v: Vocabulary, names: list[str] | None = None):
        self.net, self.v, self.names = net, v, names
        self.teller = Teller(net.sizes.hidden_size, len(names)) if names else None
        self.semantic = np.array(v.bicodec_semantic.ids())

    def __call__(self, batch: Batch, random: np.random.Generator | None = None, share: float = 1.0) -> dict[str, float]:
        speech = spoken(batch, self.v)
        lead = torch.from_numpy(guide(replace(batch, counts=speech), self.v))
        read = strayed(batch.ids, np.isin(batch.ids, self.semantic), random) if random else batch.ids
        said = torch.from_numpy(words(batch, self.names)) if self.teller else None
        told = (lambda x: self.teller(x, said)) if self.teller else None
        with torch.autocast("cpu", torch.bfloat16):
            hidden, found = self.net(torch.from_numpy(read).long(), lead=lead, told=told)
        learnt, wanted = torch.from_numpy(batch.counts) > 0, torch.from_numpy(batch.targets).long()
        losses = {"true": F.cross_entropy(hidden[learnt].float() @ self.net.embed_tokens.weight.T, wanted[learnt])}
        losses |= {f"astray {n}": part / float(speech.sum()) for n, part in zip(self.net.led, found, strict=False)}
        if self.teller:
            losses["told"] = found[-1] / float(learnt.sum())
        (share * sum(WEIGHTS[name.split()[0]] * loss for name, loss in losses.items())).backward()
        return {name: loss.item() for name, loss in losses.items()}
