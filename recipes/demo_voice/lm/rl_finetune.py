"""Fine-tuning on the model's own speech: DAgger and a clipped policy gradient.

python -m recipes.demo_voice.lm.rl_finetune CORPUS CODEC MODEL_DIR WORK --max_steps N

Each step: sample rollouts of texts of the corpus, several of each (rollouts.py). Then several
updates, each on a minibatch of rollouts and one of recordings, with these losses:

- DAgger (Ross et al., arXiv 1011.0686): at every frame the model visited, the probability of all
  ids that sound like the phone an expert gives (expert.py) is maximized.
- Clipped policy gradient (PPO, arXiv 1707.06347) with group-relative advantages (GRPO, arXiv
  2402.03300, but not divided by the standard deviation): of the rollouts of one text, those with
  fewer phone errors and a better length become likelier.
- Guided attention towards the words that were spoken.
- Supervised losses on the recordings (losses.py), so that voices stay as they are.

WORK/rl_finetune.pt is saved every few steps; the same command resumes from there. WORK/model is
MODEL_DIR with an exponential moving average of the weights.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, replace

os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "ALL")      # sparktts_ms limits it for MindSpore

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from recipes.demo_voice import training
from recipes.demo_voice.lm.ctc_recognizer import load_or_train_recognizer, pad_ids
from recipes.demo_voice.lm.expert import STOP
from recipes.demo_voice.lm.export import export_llm
from recipes.demo_voice.lm.guided_attention import attention_targets
from recipes.demo_voice.lm.losses import (
    SupervisedBatch,
    SupervisedLoss,
    draw_batches,
    supervised_batch,
)
from recipes.demo_voice.lm.model import Qwen2, load_vocabulary, mixed_precision, update_ema
from recipes.demo_voice.lm.prompts import Prompt, PromptSampler
from recipes.demo_voice.lm.recordings import PhoneInventory, load_recordings
from recipes.demo_voice.lm.rollouts import Rollout, RolloutWorker, failure_rate, phone_error_rate
from recipes.demo_voice.lm.sampling import Sampler
from sparktts_ms.generation.vocabulary import Vocabulary

STAGE = "rl_finetune"
MAX_LENGTH = 640
SAVE_EVERY = 5
WARMUP_STEPS = 5


@dataclass(frozen=True)
class RLConfig:
    """Sizes, which differ by device, and the hyperparameters of the losses."""

    prompts_per_step: int
    group_size: int                 # rollouts of each prompt
    minibatch_rollouts: int         # of an update
    minibatch_recordings: int
    learning_rate: float
    ema_decay: float                # at each update
    microbatch_tokens: int          # of a forward pass; gradients are accumulated
    train_fraction: float = 0.75    # of the rollouts: those with the largest errors and advantages
    clip_range: float = 0.2
    length_weight: float = 2.0      # of the reward
    phone_weight: float = 3.0
    rollout_weight: float = 0.5     # of the DAgger loss and the policy gradient
    attention_weights: tuple[float, float] = (0.3, 1.2)     # of the guided layers

    @property
    def num_updates(self) -> int:
        num_rollouts = self.prompts_per_step * self.group_size
        return max(1, int(self.train_fraction * num_rollouts) // self.minibatch_rollouts)


CONFIGS = {
    "cpu": RLConfig(
        prompts_per_step=80, group_size=2, minibatch_rollouts=40, minibatch_recordings=16,
        learning_rate=6e-4, ema_decay=0.98, microbatch_tokens=6000),
    "cuda": RLConfig(
        prompts_per_step=1024, group_size=4, minibatch_rollouts=192, minibatch_recordings=72,
        learning_rate=1e-3, ema_decay=0.985, microbatch_tokens=60_000),
}


@dataclass
class StepData(Dataset):
    """For each step prompts, and minibatches of recordings for its updates, by (seed, step)."""

    vocabulary: Vocabulary
    prompts: PromptSampler
    config: RLConfig
    seed: int

    def __getitem__(self, step: int) -> tuple[list[Prompt], list[SupervisedBatch]]:
        config = self.config
        rng = np.random.default_rng((self.seed, step))
        # each recording gives two examples, one by its labels and one as a clone
        num_recordings = config.num_updates * config.minibatch_recordings // 2
        batches = draw_batches(self.vocabulary, self.prompts.recordings, rng, num_recordings,
                               config.num_updates, MAX_LENGTH)
        prompts = [self.prompts.draw(rng) for _ in range(config.prompts_per_step)]
        return prompts, [supervised_batch(batch, self.vocabulary) for batch in batches]


def rewards(rollouts: list[Rollout], config: RLConfig) -> np.ndarray:
    """Minus the weighted sum of length error and phone error rate, [N]."""
    length_errors = np.array([r.length_error for r in rollouts])
    phone_errors = np.array([r.phone_error_rate for r in rollouts])
    return -(config.length_weight * length_errors + config.phone_weight * phone_errors)


def group_relative_advantages(rewards: np.ndarray, group_size: int) -> np.ndarray:
    """Rewards [N] less the mean of their group; the rollouts of a prompt are consecutive."""
    groups = rewards.reshape(-1, group_size)
    return (groups - groups.mean(1, keepdims=True)).reshape(-1)


def draw_minibatches(rollouts: list[Rollout], advantages: np.ndarray, config: RLConfig,
                     rng: np.random.Generator) -> np.ndarray:
    """Indices [updates, minibatch] of the rollouts that there is most to learn from, shuffled."""
    errors = np.array([r.phone_error_rate for r in rollouts])
    errors += np.array([r.length_error for r in rollouts])
    count = config.num_updates * config.minibatch_rollouts
    chosen = np.argsort(-errors - np.abs(advantages), kind="stable")[:count]
    return rng.permutation(chosen).reshape(config.num_updates, config.minibatch_rollouts)


def microbatches(lengths: list[int], max_tokens: int) -> list[list[int]]:
    """Indices of rows of similar length, of about `max_tokens` with their padding."""
    batches: list[list[int]] = [[]]
    for n in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batches[-1] and (len(batches[-1]) + 1) * lengths[n] > max_tokens:
            batches.append([])
        batches[-1].append(n)
    return batches


class RolloutLoss:
    """DAgger, policy gradient and guided attention losses of rollouts."""

    def __init__(self, model: Qwen2, vocabulary: Vocabulary, sampler: Sampler,
                 phone_probs: np.ndarray, config: RLConfig):
        self.model = model
        self.vocabulary = vocabulary
        self.sampler = sampler
        self.config = config
        num_phones, num_codes = phone_probs.shape
        match = torch.zeros(num_phones + 2, len(sampler.allowed_ids))
        match[:num_phones, :num_codes] = torch.from_numpy(phone_probs)
        match[STOP, num_codes:] = 1.0           # STOP and NO_PHONE, -1 and -2, are the last rows
        self.match = match.to(model.device)     # [expert targets, actions]: how well they agree

    def backward(self, rollouts: list[Rollout], advantages: list[float]) -> dict[str, Tensor]:
        """Add to the gradients; returns means over actions."""
        total = sum(len(r.actions) for r in rollouts)
        lengths = [len(r.prompt.ids) + len(r.actions) - 1 for r in rollouts]
        sums: dict[str, Tensor] = {}
        for indices in microbatches(lengths, self.config.microbatch_tokens):
            loss, metrics = self._losses([rollouts[n] for n in indices],
                                         [advantages[n] for n in indices], total)
            loss.backward()
            for name, value in metrics.items():
                sums[name] = sums.get(name, 0.0) + value.detach()
        return sums

    def _losses(self, rollouts: list[Rollout], advantages: list[float], total: int,
                ) -> tuple[Tensor, dict[str, Tensor]]:
        hidden, attention_losses = self._forward(rollouts)
        log_probs = self.sampler.log_probs(self.model, hidden)
        dagger_loss = self._dagger_loss(log_probs, rollouts).sum() / total
        surrogate, clipped = self._clipped_surrogate(log_probs, rollouts, advantages)
        policy_loss = -surrogate.sum() / total
        attention_loss = torch.zeros((), device=hidden.device)
        weights = self.config.attention_weights
        for weight, layer_loss in zip(weights, attention_losses, strict=False):
            attention_loss = attention_loss + weight * layer_loss / total
        loss = self.config.rollout_weight * (dagger_loss + policy_loss) + attention_loss
        with torch.no_grad():
            entropy = -(log_probs.exp() * log_probs).sum() / total
            clip_fraction = clipped.float().sum() / total
        return loss, {"dagger_loss": dagger_loss, "attention_loss": attention_loss,
                      "clip_fraction": clip_fraction, "entropy": entropy}

    def _forward(self, rollouts: list[Rollout]) -> tuple[Tensor, list[Tensor]]:
        """Hidden states of all actions, end to end [N, C], and guided attention losses."""
        allowed_ids = self.sampler.allowed_ids.cpu().numpy()
        rows = [np.concatenate([r.prompt.ids, allowed_ids[r.actions[:-1]]]) for r in rollouts]
        ids = pad_ids(rows, 0)
        mask = np.zeros(ids.shape, np.float32)
        for row, r in zip(mask, rollouts, strict=True):
            row[len(r.prompt.ids) - 1:len(r.prompt.ids) + len(r.actions) - 1] = 1
        alignments = [r.word_alignment for r in rollouts]
        targets = attention_targets(ids.numpy(), mask, alignments, self.vocabulary)
        with mixed_precision(self.model.device):
            output = self.model(ids.to(self.model.device), targets=targets)
        return output.hidden[torch.from_numpy(mask > 0)].float(), output.attention_losses

    def _dagger_loss(self, log_probs: Tensor, rollouts: list[Rollout]) -> Tensor:
        """[N]: -log of the probability of actions that agree with the expert."""
        expert = self._concatenate([r.expert_phones for r in rollouts])
        agreement = self.match[expert].sum(1)
        return -((log_probs.exp() * agreement).sum(-1) + 1e-4).log()

    def _clipped_surrogate(self, log_probs: Tensor, rollouts: list[Rollout],
                           advantages: list[float]) -> tuple[Tensor, Tensor]:
        """PPO's objective [N], and where the ratio of probabilities is out of the clip range."""
        actions = self._concatenate([r.actions for r in rollouts])
        old_log_probs = self._concatenate([r.log_probs for r in rollouts])
        counts = [len(r.actions) for r in rollouts]
        advantage = self._concatenate([np.repeat(np.array(advantages, np.float32), counts)])
        ratio = (log_probs.gather(1, actions[:, None])[:, 0] - old_log_probs).exp()
        clip = self.config.clip_range
        clipped_ratio = ratio.clamp(1 - clip, 1 + clip)
        objective = torch.minimum(ratio * advantage, clipped_ratio * advantage)
        return objective, (ratio - 1).abs() > clip

    def _concatenate(self, arrays: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays)).to(self.model.device)


class Trainer:
    """One run in `work`."""

    def __init__(self, args: argparse.Namespace, config: RLConfig):
        self.args = args
        self.config = config
        self.work = args.work
        vocabulary = load_vocabulary(args.model_dir)
        corpus = load_recordings(args.corpus, args.codec)
        recordings = corpus.training
        inventory = PhoneInventory(corpus.recordings)
        semantic = vocabulary.bicodec_semantic
        stops = [vocabulary.end_semantic_token, vocabulary.end]
        allowed_ids = torch.tensor([*semantic.ids(), *stops], device=args.device)
        sampler = Sampler(allowed_ids, len(stops))
        recognizer = load_or_train_recognizer(
            self.work / "ctc_recognizer.pt", [np.array(r.semantic_ids) for r in recordings],
            [inventory.transcript(r)[0] for r in recordings], semantic.count, inventory.pause,
            args.recognizer_steps, args.device)
        phone_probs = inventory.phone_probs(recordings, semantic.count)
        self.worker = RolloutWorker(recognizer, phone_probs, sampler, args.workers)
        prompts = PromptSampler(vocabulary, inventory, recordings, MAX_LENGTH, corpus.word_rows)
        self.data = StepData(vocabulary, prompts, config, args.seed)
        self.validation_prompts = self._validation_prompts(PromptSampler(
            vocabulary, inventory, corpus.validation, MAX_LENGTH, corpus.word_rows))
        self.model = Qwen2.from_pretrained(args.model_dir).to(args.device)
        self.ema = Qwen2.from_pretrained(args.model_dir).to(args.device)
        self.rollout_loss = RolloutLoss(self.model, vocabulary, sampler, phone_probs, config)
        self.supervised_loss = SupervisedLoss(self.model)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), config.learning_rate,
                                           betas=(0.9, 0.98), weight_decay=0.0)

    def _validation_prompts(self, prompts: PromptSampler) -> dict[str, list[Prompt]]:
        drawn = {}
        for kind in prompts.KINDS:
            drawn[kind] = []
            for n in range(self.args.eval_prompts):
                rng = np.random.default_rng((self.args.seed, n))
                drawn[kind].append(prompts.draw(rng, kind))
        return drawn

    def train(self) -> None:
        max_steps = self.args.max_steps
        parts = {"net": self.model, "ema": self.ema, "optimizer": self.optimizer}
        first_step = training.load_checkpoint(self.work, STAGE, **parts)
        if not first_step:
            self.evaluate(0)
        loader = DataLoader(self.data, None, sampler=range(first_step, max_steps),
                            num_workers=self.args.workers // 4, collate_fn=training.no_collate)
        for step, (prompts, supervised) in enumerate(loader, first_step):
            self._set_learning_rate(step)
            metrics = self._step(step, prompts, supervised)
            done = step + 1
            training.log_line(self.work, STAGE, {"step": done, **metrics})
            if done % SAVE_EVERY == 0 or done == max_steps:
                training.save_checkpoint(self.work, STAGE, done, **parts)
            if done % self.args.eval_steps == 0 or done == max_steps:
                self.evaluate(done)
                export_llm(self.args.model_dir, self.work / "model", self.ema)

    def _set_learning_rate(self, step: int) -> None:
        """Linear warm-up, then linear decay to a tenth."""
        warmup = min(1, (step + 1) / WARMUP_STEPS)
        decay = 0.1 + 0.9 * (1 - step / self.args.max_steps)
        self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * warmup * decay

    def _step(self, step: int, prompts: list[Prompt], supervised: list[SupervisedBatch]) -> dict:
        config = self.config
        began = time.monotonic()
        repeated = []
        for prompt in prompts:
            repeated += [prompt] * config.group_size
        rollouts = self.worker.rollouts(self.model, repeated, self.args.seed * 1_000_003 + step)
        rollout_seconds = time.monotonic() - began
        advantages = group_relative_advantages(rewards(rollouts, config), config.group_size)
        rng = np.random.default_rng((self.args.seed, step))
        minibatches = draw_minibatches(rollouts, advantages, config, rng)
        means = training.MetricMeans()
        for minibatch, batch in zip(minibatches, supervised, strict=True):
            chosen = [rollouts[n] for n in minibatch]
            means.add(self._update(chosen, advantages[minibatch].tolist(), batch))
        return {
            **means.take(),
            "phone_error_rate": phone_error_rate(rollouts),
            "length_error": np.mean([r.length_error for r in rollouts]),
            "rollout_seconds": rollout_seconds,
            "seconds_per_step": time.monotonic() - began,
        }

    def _update(self, rollouts: list[Rollout], advantages: list[float], batch: SupervisedBatch,
                ) -> dict[str, Tensor]:
        self.optimizer.zero_grad()
        metrics = self.rollout_loss.backward(rollouts, advantages)
        metrics |= self.supervised_loss.backward(batch)
        metrics["grad_norm"] = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        update_ema(self.ema, self.model, self.config.ema_decay)
        return metrics

    def evaluate(self, step: int) -> None:
        """Phone error and failure rates of the averaged weights on validation prompts."""
        metrics = {"step": step}
        everything = []
        for kind, prompts in self.validation_prompts.items():
            rollouts = self.worker.rollouts(self.ema, prompts, 1)
            metrics[f"val_{kind}_phone_error_rate"] = phone_error_rate(rollouts)
            metrics[f"val_{kind}_failure_rate"] = failure_rate(rollouts)
            everything += rollouts
        metrics["val_length_error"] = np.mean([r.length_error for r in everything])
        training.log_line(self.work, STAGE, metrics)


def main() -> None:
    parser = training.stage_parser(__doc__, "corpus", "codec", "model_dir")
    parser.add_argument("--learning_rate", type=float, help="default: by device")
    parser.add_argument("--recognizer_steps", type=int, default=1000, help="of the CTC recognizer")
    parser.add_argument("--eval_steps", type=int, default=20, help="steps between evaluations")
    parser.add_argument("--eval_prompts", type=int, default=120, help="of each kind")
    parser.add_argument("--workers", type=int, default=0, help="processes for data and labels")
    parser.add_argument("--device", choices=CONFIGS, default="cpu")
    args = parser.parse_args()
    training.start_stage(args)
    torch.set_float32_matmul_precision("high")
    config = CONFIGS[args.device]
    if args.learning_rate:
        config = replace(config, learning_rate=args.learning_rate)
    Trainer(args, config).train()


if __name__ == "__main__":
    main()
