"""Add two layers that track the position in the text, and train the model with them on recordings.

python -m recipes.demo_voice.lm.location_layers CORPUS CODEC MODEL_DIR WORK --max_steps N

The middle layer finds the position in the text by the last few phones, which may occur elsewhere
too. In the first new layer each frame attends some frames back, to positions found before; in the
second it looks for the position again. So a position depends on the one before, as in
location-sensitive attention (arXiv 1506.07503), within the architecture of Qwen2. Both begin as
identities. Input tokens are corrupted by jumps (jump_corruption.py), to recover from.

WORK/location_layers.pt is saved every 250 steps; the same command resumes from there. WORK/model is
MODEL_DIR with an exponential moving average of the weights.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "ALL")      # sparktts_ms limits it for MindSpore

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from recipes.demo_voice import training
from recipes.demo_voice.lm.dataset import AlignedRecording
from recipes.demo_voice.lm.export import export_llm
from recipes.demo_voice.lm.losses import (
    SupervisedBatch,
    SupervisedLoss,
    draw_batches,
    supervised_batch,
)
from recipes.demo_voice.lm.model import (
    MIN_LOCATION_LAYERS,
    DecoderLayer,
    Qwen2,
    load_vocabulary,
    update_ema,
)
from recipes.demo_voice.lm.phone_targets import phone_inventory
from recipes.demo_voice.lm.recordings import load_recordings
from sparktts_ms.generation.vocabulary import Vocabulary

STAGE = "location_layers"
MAX_LENGTH = 640
TIME_WARP_PROB = 0.3
NEW_LAYER_LR_FACTOR = 4
EMA_DECAY = 0.997
WARMUP_STEPS = 100
OFFSETS = (1, 4, 10, 25)        # frames that the heads of the first new layer attend back, at first
SHARPNESS = 12.0                # logit of such a position above others
GROUP_SIZE = 25                 # batches drawn together, so that rows of similar length are
LOG_EVERY = 50
SAVE_EVERY = 250


@dataclass(frozen=True)
class StageConfig:
    batch_tokens: int
    learning_rate: float        # of the layers that were there before


CONFIGS = {
    "cpu": StageConfig(batch_tokens=2048, learning_rate=4e-4),
    "cuda": StageConfig(batch_tokens=40_000, learning_rate=1.5e-3),
}


def add_location_layers(model: Qwen2) -> Qwen2:
    """The same function with two layers more behind the middle one."""
    middle = len(model.layers) // 2
    config = replace(model.config, num_hidden_layers=len(model.layers) + 2)
    deeper = Qwen2(config)
    deeper.embed_tokens = model.embed_tokens
    deeper.norm = model.norm
    for n, layer in enumerate(model.layers):
        deeper.layers[n if n <= middle else n + 2].load_state_dict(layer.state_dict())
    lookback = deeper.layers[middle + 1]
    locate = deeper.layers[middle + 2]
    locate.self_attn.load_state_dict(model.layers[middle].self_attn.state_dict())
    init_lookback(lookback, config.rope_theta)
    following = model.layers[middle + 1]
    for layer in (lookback, locate):
        layer.input_layernorm.load_state_dict(following.input_layernorm.state_dict())
        layer.post_attention_layernorm.load_state_dict(
            following.post_attention_layernorm.state_dict())
        nn.init.zeros_(layer.self_attn.o_proj.weight)
        nn.init.zeros_(layer.mlp.down_proj.weight)
    ids = torch.arange(64)[None]
    assert torch.equal(deeper(ids).hidden, model(ids).hidden)
    return deeper


def init_lookback(layer: DecoderLayer, rope_theta: float) -> None:
    """Heads that attend a fixed number of frames back: query and key biases, which the rotary
    position embedding turns into a preferred distance."""
    attention = layer.self_attn
    half = attention.head_dim // 2
    frequencies = torch.tensor([rope_theta ** (-n / half) for n in range(half)])
    fast = (frequencies > 0.02).float()
    size = torch.sqrt(SHARPNESS * math.sqrt(attention.head_dim) * fast / fast.sum())
    for projection in (attention.q_proj, attention.k_proj):
        nn.init.normal_(projection.weight, std=0.01)
    key_bias = torch.cat([size, torch.zeros(half)]).repeat(attention.num_kv_heads)
    query_bias = []
    for head in range(attention.num_heads):
        angles = frequencies * OFFSETS[head % len(OFFSETS)]
        query_bias += [size * angles.cos(), -size * angles.sin()]
    with torch.no_grad():
        attention.k_proj.bias.copy_(key_bias)
        attention.q_proj.bias.copy_(torch.cat(query_bias))
    attention.v_proj.reset_parameters()


@dataclass
class BatchGroups(Dataset):
    """Groups of batches of recordings, group n drawn by (seed, n)."""

    vocabulary: Vocabulary
    recordings: list[AlignedRecording]
    phone_names: list[str]
    batch_tokens: int
    seed: int

    def __getitem__(self, number: int) -> list[SupervisedBatch]:
        rng = np.random.default_rng((self.seed, number))
        lengths = [len(r.text) + len(r.semantic_ids) for r in self.recordings]
        mean_length = np.mean(lengths) + 2 * len(self.recordings[0].global_ids)
        # each recording gives two examples, one by its labels and one as a clone
        num_recordings = math.ceil(GROUP_SIZE * self.batch_tokens / mean_length / 2)
        batches = draw_batches(self.vocabulary, self.recordings, rng, num_recordings, GROUP_SIZE,
                               MAX_LENGTH, TIME_WARP_PROB)
        return [supervised_batch(b, self.vocabulary, self.phone_names, rng) for b in batches]

    def batches(self, first: int, end: int, num_workers: int) -> Iterator[SupervisedBatch]:
        """Batches number `first` to `end`."""
        numbers = range(first // GROUP_SIZE, math.ceil(end / GROUP_SIZE))
        loader = DataLoader(self, None, sampler=numbers, num_workers=num_workers,
                            collate_fn=training.no_collate)
        skipped = first - numbers.start * GROUP_SIZE
        batches = itertools.chain.from_iterable(loader)
        return itertools.islice(batches, skipped, skipped + end - first)


class Trainer:
    """One run in `work`."""

    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.config = CONFIGS[args.device]
        corpus = load_recordings(args.corpus, args.codec)
        phone_names = phone_inventory(corpus.recordings)
        self.data = BatchGroups(load_vocabulary(args.model_dir), corpus.training, phone_names,
                                self.config.batch_tokens, args.seed)
        model = Qwen2.from_pretrained(args.model_dir)
        add_layers = len(model.layers) < MIN_LOCATION_LAYERS
        if add_layers:
            model = add_location_layers(model)
        self.model = model.to(args.device)
        self.loss = SupervisedLoss(self.model, len(phone_names))
        self.ema = Qwen2(self.model.config).to(args.device)
        self.ema.load_state_dict(self.model.state_dict())
        self.optimizer = self._optimizer(NEW_LAYER_LR_FACTOR if add_layers else 1)

    def _optimizer(self, new_layer_factor: float) -> torch.optim.AdamW:
        locate = self.model.guided_layers[-1]
        new = [*self.model.layers[locate - 1].parameters(), *self.model.layers[locate].parameters(),
               *self.loss.word_head.parameters()]
        new_ids = {id(p) for p in new}
        old = [p for p in self.model.parameters() if id(p) not in new_ids]
        groups = [{"params": old, "lr_factor": 1}, {"params": new, "lr_factor": new_layer_factor}]
        return torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)

    def train(self) -> None:
        args = self.args
        parts = {"net": self.model, "ema": self.ema, "word_head": self.loss.word_head,
                 "optimizer": self.optimizer}
        first_step = training.load_checkpoint(args.work, STAGE, **parts)
        batches = self.data.batches(first_step, args.max_steps, args.workers)
        means = training.MetricMeans()
        for step, batch in enumerate(batches, first_step):
            self._set_learning_rate(step)
            means.add(self._update(step, batch))
            done = step + 1
            if done % LOG_EVERY == 0:
                training.log_line(args.work, STAGE, {"step": done, **means.take()})
            if done % SAVE_EVERY == 0 or done == args.max_steps:
                training.save_checkpoint(args.work, STAGE, done, **parts)
                export_llm(args.model_dir, args.work / "model", self.ema)

    def _set_learning_rate(self, step: int) -> None:
        """Linear warm-up, then linear decay to 5 %."""
        warmup = min(1, (step + 1) / WARMUP_STEPS)
        decay = 0.05 + 0.95 * (1 - step / self.args.max_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr_factor"] * self.config.learning_rate * warmup * decay

    def _update(self, step: int, batch: SupervisedBatch) -> dict:
        self.optimizer.zero_grad()
        metrics = self.loss.backward(batch)
        parameters = [*self.model.parameters(), *self.loss.word_head.parameters()]
        metrics["grad_norm"] = nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimizer.step()
        update_ema(self.ema, self.model, min(EMA_DECAY, (step + 1) / (step + 10)))
        return metrics


def main() -> None:
    parser = training.stage_parser(__doc__, "corpus", "codec", "model_dir")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw batches")
    parser.add_argument("--device", choices=CONFIGS, default="cpu")
    args = parser.parse_args()
    training.start_stage(args)
    Trainer(args).train()


if __name__ == "__main__":
    main()
