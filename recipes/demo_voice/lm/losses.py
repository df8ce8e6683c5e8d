"""Supervised losses on recordings: next token, guided attention, phones of the current word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.demo_voice.lm.dataset import AlignedRecording
from recipes.demo_voice.lm.guided_attention import AttentionTargets, attention_targets
from recipes.demo_voice.lm.jump_corruption import corrupt_with_jumps
from recipes.demo_voice.lm.model import Qwen2, mixed_precision
from recipes.demo_voice.lm.phone_targets import MAX_PHONES, current_word_targets, word_alignments
from recipes.demo_voice.lm.time_warp import mask_warped_frames, warp_time
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.training.batches import Batch, collate
from sparktts_ms.training.examples import ExampleBuilder

TOKEN_WEIGHT = 1.0
ATTENTION_WEIGHT = 0.5
WORD_WEIGHT = 0.15


@dataclass(frozen=True)
class SupervisedBatch:
    """inputs, targets, loss_mask [B, L]: token ids read and to predict. num_speech: how many
    targets are speech, the prompt's included; attention: targets of those. words [B * L, 11]:
    phones of the current word (phone_targets.py), or None."""

    inputs: np.ndarray
    targets: np.ndarray
    loss_mask: np.ndarray
    num_speech: int
    attention: AttentionTargets
    words: np.ndarray | None


def supervised_batch(batch: Batch, vocabulary: Vocabulary, phone_names: list[str] | None = None,
                     corruption_rng: np.random.Generator | None = None) -> SupervisedBatch:
    """Targets for a batch of examples: of words with `phone_names`; inputs are corrupted with
    `corruption_rng`."""
    batch = mask_warped_frames(batch)
    inputs = batch.ids
    if corruption_rng is not None:
        is_speech = np.isin(inputs, np.array(vocabulary.bicodec_semantic.ids()))
        inputs = corrupt_with_jumps(inputs, is_speech, corruption_rng)
    words = None
    if phone_names is not None:
        words = current_word_targets(batch, phone_names).astype(np.int8)
    mask = speech_mask(batch, vocabulary)
    attention = attention_targets(batch.ids, mask, word_alignments(batch), vocabulary)
    return SupervisedBatch(inputs, batch.targets, batch.loss_mask > 0, int(mask.sum()), attention,
                           words)


def speech_mask(batch: Batch, vocabulary: Vocabulary) -> np.ndarray:
    """float32 [B, L]: 1 where the target is speech, the prompt's included, or its end."""
    mask = np.zeros_like(batch.loss_mask)
    for row, ids in enumerate(batch.ids):
        starts = np.flatnonzero(ids == vocabulary.start_semantic_token)
        learned = np.flatnonzero(batch.loss_mask[row])
        if len(starts) and len(learned):
            mask[row, starts[0]:learned[-1] + 1] = 1
    return mask


def draw_batches(vocabulary: Vocabulary, recordings: list[AlignedRecording],
                 rng: np.random.Generator, num_recordings: int, num_batches: int, max_length: int,
                 time_warp_prob: float = 0.0) -> list[Batch]:
    """Examples of randomly drawn recordings in batches of about equally many tokens, with rows of
    similar length, in random order."""
    chosen = [recordings[n] for n in rng.permutation(len(recordings))[:num_recordings]]
    builder = ExampleBuilder(vocabulary, max_length, warp_time, time_warp_prob)
    examples = sorted(builder.epoch(chosen, rng), key=lambda example: len(example.ids))
    tokens = np.cumsum([len(example.ids) for example in examples])
    ends = np.searchsorted(tokens, tokens[-1] * np.arange(1, num_batches + 1) / num_batches)
    ends = np.maximum(ends, np.arange(num_batches)) + 1
    batches = []
    begin = 0
    for end in ends:
        group = examples[begin:end]
        batches.append(collate(group, len(group[-1].ids) - 1, len(group)))
        begin = end
    return [batches[n] for n in rng.permutation(num_batches)]


class WordPhoneHead(nn.Module):
    """Classifies the phones of the current word and which of them is current; not exported."""

    def __init__(self, hidden_size: int, num_phones: int):
        super().__init__()
        self.slots = MAX_PHONES + 1
        self.norm = nn.RMSNorm(hidden_size)
        self.proj = nn.Linear(hidden_size, self.slots * num_phones)

    def forward(self, hidden: Tensor, targets: Tensor) -> Tensor:
        # [B, L, C], [B * L, 11], -1 where unknown -> cross-entropy: sum of frames, mean of slots
        known = targets[:, 0] >= 0
        states = self.norm(hidden.float().flatten(0, 1)[known])
        logits = self.proj(states).unflatten(-1, (self.slots, -1)).flatten(0, 1)
        loss = F.cross_entropy(logits, targets[known].flatten().long(), reduction="sum")
        return loss / self.slots


class SupervisedLoss:
    """Next-token, guided attention and, with `num_phones`, word losses of a model."""

    def __init__(self, model: Qwen2, num_phones: int = 0):
        self.model = model
        self.word_head = None
        if num_phones:
            self.word_head = WordPhoneHead(model.config.hidden_size, num_phones).to(model.device)

    def backward(self, batch: SupervisedBatch) -> dict[str, Tensor]:
        """Add to the gradients; returns the losses."""
        model = self.model
        device = model.device
        mask = torch.from_numpy(batch.loss_mask).to(device)
        targets = torch.from_numpy(batch.targets).to(device)[mask].long()
        ids = torch.from_numpy(batch.inputs).to(device).long()
        with mixed_precision(device):
            output = model(ids, targets=batch.attention)
            word_loss = None
            if self.word_head is not None:
                words = torch.from_numpy(batch.words).to(device)
                word_loss = self.word_head(output.guided_hidden, words) / int(mask.sum())
        logits = output.hidden[mask].float() @ model.embed_tokens.weight.T
        losses = {"token_loss": F.cross_entropy(logits, targets)}
        loss = TOKEN_WEIGHT * losses["token_loss"]
        for n, attention_loss in zip(model.guided_layers, output.attention_losses, strict=True):
            losses[f"attention_loss_{n}"] = attention_loss / batch.num_speech
            loss = loss + ATTENTION_WEIGHT * losses[f"attention_loss_{n}"]
        if word_loss is not None:
            losses["word_loss"] = word_loss
            loss = loss + WORD_WEIGHT * word_loss
        loss.backward()
        return {name: value.detach() for name, value in losses.items()}
