"""Train a stage of the codec: python -m recipes.demo_voice.codec.train CORPUS WORK STAGE

The batch of step n follows from (seed, n). WORK/STAGE.pt is saved every 250 steps; the same command
resumes from there.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

from recipes.demo_voice import training
from recipes.demo_voice.codec import stages
from recipes.demo_voice.codec.dataset import Corpus

STAGES = {
    "vocoder": stages.VocoderStage,
    "tokenizer": stages.TokenizerStage,
    "perceptual": stages.PerceptualStage,
    "joint": stages.JointStage,
}
WARMUP_STEPS = 100
LOG_EVERY = 50
SAVE_EVERY = 250


def make_stage(name: str, corpus: Path, work: Path, model_dir: Path | None) -> stages.Stage:
    if name == "joint":
        return stages.JointStage(Corpus(corpus), work, model_dir)
    return STAGES[name](Corpus(corpus))


def learning_rate(peak: float, step: int, max_steps: int) -> float:
    """Linear warm-up, then a cosine down to 5 %."""
    warmup = min(1, (step + 1) / WARMUP_STEPS)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1, step / max_steps)))
    return peak * warmup * (0.05 + 0.95 * cosine)


def train(net: stages.Stage, stage: str, work: Path, max_steps: int, seed: int) -> None:
    parameters = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, net.learning_rate, betas=(0.8, 0.98),
                                  weight_decay=1e-3)
    first_step = training.load_checkpoint(work, stage, net=net, optimizer=optimizer)
    net.after_step()
    net.train()
    means = training.MetricMeans()
    for step in range(first_step, max_steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(net.learning_rate, step, max_steps)
        torch.manual_seed(seed * 1_000_003 + step)
        loss, metrics = net(net.batch(np.random.default_rng((seed, step))))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        net.after_step()
        means.add(metrics)
        done = step + 1
        if done % LOG_EVERY == 0:
            training.log_line(work, stage, {"step": done, **means.take()})
        if done % SAVE_EVERY == 0 or done == max_steps:
            training.save_checkpoint(work, stage, done, net=net, optimizer=optimizer)


def main() -> None:
    parser = training.stage_parser(__doc__, "corpus")
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--model_dir", type=Path, help="joint: begin with this finished model")
    args = parser.parse_args()
    training.start_stage(args)
    net = make_stage(args.stage, args.corpus, args.work, args.model_dir)
    train(net, args.stage, args.work, args.max_steps, args.seed)


if __name__ == "__main__":
    main()
