"""Auxiliary losses of pretraining, within the trainer's network: guided attention and phones.

The middle layer is guided (`guided_attention.py`). Phone classifiers (`phone_targets.py`) read the
hidden states before it, after it and after the next layer; they are not part of the saved model.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from recipes.demo_voice.lm.phone_targets import MAX_PHONES
from sparktts_ms.config import Qwen2Config
from sparktts_ms.training.model import Attention, DecoderLayer, TrainableQwen2
from sparktts_ms.training.ops import TrainableRMSNorm
from sparktts_ms.weights.checkpoint import Checkpoint

MIN_ATTENTION = 1e-3        # added to attention weights before the logarithm
CURRENT_WORD_WEIGHT = 0.15  # of the current word's 11 targets in each frame, among phone losses


class GuidedAttention(Attention):
    """Attention whose first head in each half is compared with, or forced towards, a prior."""

    def __init__(self, weights: Checkpoint, config: Qwen2Config, lora_rank: int, dtype):
        super().__init__(weights, config, lora_rank, dtype)
        self.minimum = ops.ReduceMin(keep_dims=True)

    def construct(self, x: Tensor, context: tuple[Tensor, ...], prior: Tensor | None = None,
                  forcing: Tensor | None = None):
        # x [B * L, C]; prior [B, G, L, L] for the first of each H / G heads, or None; forcing []:
        # the part of their attention that is the prior's -> [B * L, C], guided attention loss
        weights = self.attention_weights(x, context)
        loss = ops.zeros((), ms.float32)
        if prior is not None:
            length = weights.shape[-1]
            weights = weights.reshape(-1, prior.shape[1], self.num_heads // prior.shape[1], length,
                                      length)
            first = weights[:, :, 0].astype(ms.float32)
            loss = -ops.log((first * prior).sum(-1) + MIN_ATTENTION).sum()
            has_target = 1 - self.minimum(prior, -1)
            target = prior / prior.sum(-1, keepdims=True)
            forced = first + forcing * has_target * (target - first)
            forced = forced.astype(self.dtype).expand_dims(2)
            weights = ops.concat([forced, weights[:, :, 1:]], 2)
            weights = weights.reshape(-1, self.num_heads, length, length)
        return self.output(weights, x), loss


class GuidedLayer(DecoderLayer):
    attention_type = GuidedAttention

    def construct(self, x: Tensor, context: tuple[Tensor, ...], prior: Tensor | None = None,
                  forcing: Tensor | None = None):
        # as GuidedAttention
        y, loss = self.self_attn(self.input_layernorm(x), context, prior, forcing)
        x = x + y.astype(ms.float32)
        return x + self.mlp(self.post_attention_layernorm(x)).astype(ms.float32), loss


class PhoneClassifier(nn.Cell):
    """Norm and projection from hidden states to `slots` phones each."""

    def __init__(self, size: int, phones: int, slots: int, eps: float):
        super().__init__()
        self.phones = phones
        self.weight = Parameter(Tensor(np.zeros((slots * phones, size), np.float32)))
        self.norm = TrainableRMSNorm(np.ones(size, np.float32), eps)
        self.matmul = ops.MatMul(transpose_b=True)

    def construct(self, x: Tensor, targets: Tensor) -> Tensor:
        # x [N, C], targets int32 [N, slots] -> the summed cross-entropy of those that are not -1
        targets = targets.reshape(-1, 1)
        logits = self.matmul(self.norm(x), self.weight).reshape(-1, self.phones)
        log_probs = ops.log_softmax(logits, -1)
        known = (targets >= 0).astype(ms.float32)
        return -(ops.gather_d(log_probs, 1, ops.maximum(targets, 0)) * known).sum()


class PretrainingQwen2(TrainableQwen2):
    """The trainer's network with auxiliary losses; without their inputs it is the trainer's own."""

    def __init__(self, weights: Checkpoint, config: Qwen2Config, lora_rank: int = 0,
                 dtype=ms.float32, phones: int = 0, attention_weight: float = 0.0,
                 phone_weight: float = 0.0):
        """phones: the size of the inventory, 0 without phone losses."""
        super().__init__(weights, config, lora_rank, dtype)
        self.middle = config.num_hidden_layers // 2
        self.attention_weight = attention_weight
        self.phone_weight = phone_weight
        if phones:
            size = config.hidden_size
            eps = config.rms_norm_eps
            self.pronunciation_classifier = PhoneClassifier(size, phones, MAX_PHONES, eps)
            self.word_classifier = PhoneClassifier(size, phones, MAX_PHONES + 1, eps)
            self.phone_classifier = PhoneClassifier(size, phones, 1, eps)

    def layer_type(self, index: int) -> type[DecoderLayer]:
        return GuidedLayer if index == self.config.num_hidden_layers // 2 else DecoderLayer

    def construct(self, ids: Tensor, targets: Tensor, loss_mask: Tensor, cos: Tensor, sin: Tensor,
                  mask: Tensor, prior: Tensor | None = None, forcing: Tensor | None = None,
                  pronunciations: Tensor | None = None, frame_phones: Tensor | None = None,
                  words: Tensor | None = None):
        # as TrainableQwen2; prior and forcing as GuidedAttention; phone targets as phone_targets.py
        # -> loss, correct; with auxiliary inputs also auxiliary loss, phone loss, attention loss
        x = ops.gather(self.embed_tokens.weight, ids, 0)
        context = self.expand_context(ids.shape[0] // mask.shape[-1], cos, sin, mask)
        attention_loss = ops.zeros((), ms.float32)
        phone_loss = ops.zeros((), ms.float32)
        for n, layer in enumerate(self.layers):
            if n == self.middle:
                if pronunciations is not None:
                    phone_loss = phone_loss + self.pronunciation_classifier(x, pronunciations)
                x, attention_loss = layer(x, context, prior, forcing)
                if words is not None:
                    word_loss = self.word_classifier(x, words)
                    phone_loss = phone_loss + CURRENT_WORD_WEIGHT * word_loss
            else:
                x = layer(x, context)
            if frame_phones is not None and n == min(self.middle + 1, len(self.layers) - 1):
                phone_loss = phone_loss + self.phone_classifier(x, frame_phones)
        loss, correct = self.loss(x, targets, loss_mask)
        if prior is None and frame_phones is None:
            return loss, correct
        auxiliary = self.attention_weight * attention_loss + self.phone_weight * phone_loss
        return loss, correct, auxiliary, phone_loss, attention_loss

    def state_dict(self) -> dict[str, np.ndarray]:
        weights = super().state_dict()
        return {name: weight for name, weight in weights.items() if "_classifier." not in name}
