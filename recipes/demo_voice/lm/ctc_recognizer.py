"""Reads phones off semantic ids: what a listener would get of what the language model says, before anything is heard.

A small network with little context (so that it hears rather than guesses), trained on the codec's ids of the teacher's
recordings with CTC (Graves et al., 2006): it tells each phone once, at about the frame where it is spoken.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Reader(nn.Module):
    """Ids [B, T] (-1 behind an end) -> log probabilities [B, T, phones + 1]; the last is "nothing new"."""

    def __init__(self, codes: int, phones: int, width: int = 128, layers: int = 3):
        super().__init__()
        self.codes, self.nothing = codes, phones
        self.embed = nn.Embedding(codes + 1, width)
        self.convs = nn.ModuleList(nn.Conv1d(width, 2 * width, 5, padding=2) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.tell = nn.Linear(width, phones + 1)

    def forward(self, ids: Tensor) -> Tensor:
        inside = (ids >= 0)[..., None].float()
        x = self.embed(torch.where(ids >= 0, ids, self.codes)) * inside
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = x + F.glu(conv(norm(x).mT * inside.mT).mT, -1) * inside
        return self.tell(x).log_softmax(-1)


def padded(rows: list[np.ndarray], empty: int) -> Tensor:
    made = torch.full((len(rows), max(1, max(map(len, rows)))), empty, dtype=torch.long)
    for n, row in enumerate(rows):
        made[n, :len(row)] = torch.from_numpy(np.asarray(row, np.int64))
    return made


@torch.no_grad()
def read(reader: Reader, spoken: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each utterance's ids the phones, and the frame at which each is over."""
    found, device = [], reader.tell.weight.device
    for begin in range(0, len(spoken), 64):
        rows = spoken[begin:begin + 64]
        for row, best in zip(rows, reader(padded(rows, -1).to(device)).argmax(-1).cpu().numpy(), strict=True):
            best = best[:len(row)]
            last = np.flatnonzero(np.append(best[1:] != best[:-1], True)) if len(best) else np.zeros(0, int)
            last = last[best[last] != reader.nothing]
            found.append((best[last], last))
    return found


def train(ids: list[np.ndarray], phones: list[np.ndarray], codes: int, names: int, steps: int, seed: int, device: str = "cpu",
          log=print) -> Reader:
    torch.manual_seed(seed)
    reader, random = Reader(codes, names).to(device), np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(reader.parameters(), 2e-3, weight_decay=1e-2)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 100) * (1 - step / steps)
        picks = random.integers(len(ids), size=32)
        rows, said = [ids[n] for n in picks], [phones[n] for n in picks]
        likely = reader(padded(rows, -1).to(device)).transpose(0, 1)
        loss = F.ctc_loss(likely, torch.from_numpy(np.concatenate(said)).to(device), torch.tensor([len(r) for r in rows]),
                          torch.tensor([len(s) for s in said]), reader.nothing, zero_infinity=True)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 100 == 0:
            log(f"reader: step {step + 1}, loss {loss.item():.3f}")
    return reader.eval()
