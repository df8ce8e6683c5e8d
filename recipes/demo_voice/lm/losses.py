"""What true speech teaches: the next id, where to look, and which word is said."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.demo_voice.lm.corrupt import strayed
from recipes.demo_voice.lm.dataset import AlignedRecording
from recipes.demo_voice.lm.guided_attention import AttentionTargets, attention_targets
from recipes.demo_voice.lm.model import Qwen2, short
from recipes.demo_voice.lm.phone_targets import MAX_PHONES, current_word_targets, word_alignments
from recipes.demo_voice.lm.time_warp import mask_warped_frames, warp_time
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.training.batches import Batch, collate
from sparktts_ms.training.examples import ExampleBuilder

WEIGHTS = {"true": 1.0, "astray": 0.5, "told": 0.15}    # of the next id, of where to look, of which word is being said


class Teller(nn.Module):
    """Which word is being said, in phones, and which of them: read off a layer's output, and not kept."""

    def __init__(self, width: int, names: int):
        super().__init__()
        self.norm, self.read = nn.RMSNorm(width), nn.Linear(width, (MAX_PHONES + 1) * names)

    def forward(self, x: Tensor, said: Tensor) -> Tensor:
        # [B, L, C], [B * L, 11] with -1 where nothing is known -> sum of cross-entropies over frames, mean over slots
        known = said[:, 0] >= 0
        likely = self.read(self.norm(x.float().flatten(0, 1)[known])).unflatten(-1, (MAX_PHONES + 1, -1))
        return F.cross_entropy(likely.flatten(0, 1), said[known].flatten().long(), reduction="sum") / (MAX_PHONES + 1)


@dataclass(frozen=True)
class Page:
    """A batch [B, L] of true speech: what is `read`, what should follow, whether that is `loss_mask`; how many of these ids are
    `speech`, a prompt's too; `where` to look meanwhile; which word is `said` [B * L, 11], if that is taught."""

    read: np.ndarray
    targets: np.ndarray
    loss_mask: np.ndarray
    speech: int
    where: AttentionTargets
    said: np.ndarray | None


def page(batch: Batch, v: Vocabulary, names: list[str] | None = None, random: np.random.Generator | None = None) -> Page:
    """With the `names` of the phones, which word is said is taught too; with `random`, what is read goes astray now and then."""
    speech = spoken(batch, v)
    read = strayed(batch.ids, np.isin(batch.ids, np.array(v.bicodec_semantic.ids())), random) if random else batch.ids
    return Page(read, batch.targets, batch.loss_mask > 0, int(speech.sum()),
                attention_targets(batch.ids, speech, word_alignments(batch), v),
                current_word_targets(batch, names).astype(np.int8) if names else None)


def drawn(v: Vocabulary, recordings: list[AlignedRecording], random: np.random.Generator, some: int, count: int, longest: int,
          warped: float = 0.0) -> list[Batch]:
    """Sequences of `some` recordings in `count` batches of about as many tokens, rows of similar length together."""
    chosen = [recordings[n] for n in random.permutation(len(recordings))[:some]]
    made = sorted(ExampleBuilder(v, longest, warp_time, warped).epoch(chosen, random), key=lambda sequence: len(sequence.ids))
    reached = np.cumsum([len(sequence.ids) for sequence in made])
    ends = np.searchsorted(reached, reached[-1] * np.arange(1, count + 1) / count)
    groups = [made[a:b] for a, b in itertools.pairwise([0, *(np.maximum(ends, np.arange(count)) + 1)])]
    return [mask_warped_frames(collate(groups[n], len(groups[n][-1].ids) - 1, len(groups[n]))) for n in random.permutation(count)]


def spoken(batch: Batch, v: Vocabulary) -> np.ndarray:
    """[B, L]: 1 where the next id is speech, a prompt's too, or its end."""
    found = np.zeros_like(batch.loss_mask)
    for row, ids in enumerate(batch.ids):
        starts, ends = np.flatnonzero(ids == v.start_semantic_token), np.flatnonzero(batch.loss_mask[row])
        if len(starts) and len(ends):
            found[row, starts[0]:ends[-1] + 1] = 1
    return found


class Lesson:
    """Pages of true speech -> gradients, and losses by name. `names`: how many phones the pages tell the words in, if they do."""

    def __init__(self, net: Qwen2, names: int = 0):
        self.net, self.device = net, net.device
        self.teller = Teller(net.sizes.hidden_size, names).to(self.device) if names else None

    def __call__(self, page: Page, share: float = 1.0) -> dict[str, float]:
        read, wanted, loss_mask, said = (None if x is None else torch.from_numpy(x).to(self.device)
                                      for x in (page.read, page.targets, page.loss_mask, page.said))
        told = (lambda x: self.teller(x, said)) if self.teller else None
        with short(self.device):
            hidden, found = self.net(read.long(), where=page.where, told=told)
        losses = {"true": F.cross_entropy(hidden[loss_mask].float() @ self.net.embed_tokens.weight.T, wanted[loss_mask].long())}
        losses |= {f"astray {n}": part / page.speech for n, part in zip(self.net.led, found, strict=False)}
        if self.teller:
            losses["told"] = found[-1] / int(page.loss_mask.sum())
        (share * sum(WEIGHTS[name.split()[0]] * loss for name, loss in losses.items())).backward()
        return {name: loss.detach() for name, loss in losses.items()}
