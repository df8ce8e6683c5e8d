"""Phone recognition from semantic ids with CTC (Graves et al., 2006).

It transcribes what the language model generates without decoding it to audio. The network has a
small receptive field, so that it depends on what was spoken rather than on what is likely.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparktts_ms.files import atomic_write

PADDING_ID = -1
LEARNING_RATE = 2e-3
WARMUP_STEPS = 100
BATCH_SIZE = 32


class CTCRecognizer(nn.Module):
    """Ids [B, T], padded with -1 -> log probabilities [B, T, phones + 1]; the last is the blank."""

    def __init__(self, num_codes: int, num_phones: int, width: int = 128, num_layers: int = 3):
        super().__init__()
        self.num_codes = num_codes
        self.blank = num_phones
        self.embed = nn.Embedding(num_codes + 1, width)
        convs = [nn.Conv1d(width, 2 * width, 5, padding=2) for _ in range(num_layers)]
        self.convs = nn.ModuleList(convs)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(num_layers))
        self.head = nn.Linear(width, num_phones + 1)

    def forward(self, ids: Tensor) -> Tensor:
        mask = (ids >= 0)[..., None].float()
        x = self.embed(torch.where(ids >= 0, ids, self.num_codes)) * mask
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = x + F.glu(conv(norm(x).mT * mask.mT).mT, -1) * mask
        return self.head(x).log_softmax(-1)

    @torch.no_grad()
    def recognize(self, utterances: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Greedy decoding of each utterance's ids: its phones, and the last frame of each."""
        recognized = []
        for begin in range(0, len(utterances), 64):
            batch = utterances[begin:begin + 64]
            ids = pad_ids(batch, PADDING_ID).to(self.head.weight.device)
            labels = self(ids).argmax(-1).cpu().numpy()
            for row, utterance in zip(labels, batch, strict=True):
                recognized.append(self._collapse(row[:len(utterance)]))
        return recognized

    def _collapse(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not len(labels):
            return labels, np.zeros(0, int)
        ends = np.flatnonzero(np.append(labels[1:] != labels[:-1], True))
        ends = ends[labels[ends] != self.blank]
        return labels[ends], ends


def pad_ids(rows: list[np.ndarray], value: int) -> Tensor:
    """Rows of ids as int64 [B, longest], at least one column."""
    padded = torch.full((len(rows), max(1, *map(len, rows))), value, dtype=torch.long)
    for target, row in zip(padded, rows, strict=True):
        target[:len(row)] = torch.from_numpy(np.asarray(row, np.int64))
    return padded


def train_recognizer(recognizer: CTCRecognizer, ids: list[np.ndarray], phones: list[np.ndarray],
                     max_steps: int, seed: int) -> None:
    """Train on the semantic ids and the phones of utterances."""
    device = recognizer.head.weight.device
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(recognizer.parameters(), LEARNING_RATE, weight_decay=1e-2)
    for step in range(max_steps):
        for group in optimizer.param_groups:
            warmup = min(1, (step + 1) / WARMUP_STEPS)
            group["lr"] = LEARNING_RATE * warmup * (1 - step / max_steps)
        picks = rng.integers(len(ids), size=BATCH_SIZE)
        inputs = [ids[n] for n in picks]
        targets = [phones[n] for n in picks]
        log_probs = recognizer(pad_ids(inputs, PADDING_ID).to(device)).transpose(0, 1)
        loss = F.ctc_loss(
            log_probs, torch.from_numpy(np.concatenate(targets)).to(device),
            torch.tensor([len(row) for row in inputs]), torch.tensor([len(row) for row in targets]),
            recognizer.blank, zero_infinity=True)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(recognizer.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 100 == 0:
            print(f"CTC recognizer: step {step + 1}, loss {loss.item():.3f}", flush=True)


def load_or_train_recognizer(path: Path, ids: list[np.ndarray], phones: list[np.ndarray],
                             num_codes: int, num_phones: int, max_steps: int, device: str,
                             seed: int = 1) -> CTCRecognizer:
    """The frozen recognizer in `path`, trained first if the file is missing."""
    torch.manual_seed(seed)
    recognizer = CTCRecognizer(num_codes, num_phones).to(device)
    if not path.exists():
        train_recognizer(recognizer, ids, phones, max_steps, seed)
        with atomic_write(path) as file:
            torch.save(recognizer.state_dict(), file)
    recognizer.load_state_dict(torch.load(path, weights_only=True, map_location=device))
    return recognizer.eval().requires_grad_(False)
