"""Pretraining from random weights: the project's trainer with auxiliary losses and augmentation.

python -m recipes.demo_voice.lm.pretrain takes the arguments of cli.finetune and those below; lines
of the manifest may have an alignment (`dataset.py`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import count

import mindspore as ms
import numpy as np
from mindspore import Tensor

from cli import finetune
from cli.common import run_command
from recipes.demo_voice.lm.auxiliary_loss import PretrainingQwen2
from recipes.demo_voice.lm.dataset import align_recordings, read_alignments
from recipes.demo_voice.lm.guided_attention import attention_prior, attention_targets
from recipes.demo_voice.lm.phone_targets import (
    current_word_targets,
    frame_phone_targets,
    phone_inventory,
    pronunciation_targets,
    word_alignments,
)
from recipes.demo_voice.lm.time_warp import mask_warped_frames, warp_time
from recipes.demo_voice.lm.token_corruption import corrupt_tokens
from recipes.demo_voice.lm.word_lists import WordLists
from sparktts_ms.config import Qwen2Config
from sparktts_ms.errors import InputError
from sparktts_ms.training.batches import Batch, DataLoader
from sparktts_ms.training.extension import TrainingExtension
from sparktts_ms.training.trainer import Trainer
from sparktts_ms.weights.checkpoint import Checkpoint


@dataclass(frozen=True)
class PretrainingSettings:
    """What pretraining adds to the trainer; by default nothing.

    guided_attention_weight, phone_loss_weight: of the auxiliary losses. forced_attention_steps:
    over so many steps the guided heads' attention is forced, from fully to not at all.
    word_list_every: every nth batch is word lists; 0 for none. token_corruption: fraction of input
    speech tokens that are replaced. time_warp_prob: of an example to be warped.
    """

    guided_attention_weight: float = 0.0
    forced_attention_steps: int = 0
    phone_loss_weight: float = 0.0
    word_list_every: int = 0
    token_corruption: float = 0.0
    time_warp_prob: float = 0.0

    def __post_init__(self):
        maxima = {"token_corruption": 0.5, "time_warp_prob": 1.0}
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= maxima.get(field.name, value):
                raise InputError(f"{field.name} is {value}; it must be at least 0"
                                 f" and at most {maxima.get(field.name, 'infinite')}.")
        if self.word_list_every and not self.phone_loss_weight:
            raise InputError("word_list_every needs phone_loss_weight.",
                             "Only phone losses learn from word lists.")


class PretrainingExtension(TrainingExtension):
    """Adds guided attention, phone losses, word lists, corruption and warping to the trainer."""

    def __init__(self, settings: PretrainingSettings):
        self.values = settings
        self.augment_prob = settings.time_warp_prob
        self.augment = warp_time
        self.phones: list[str] = []
        self.word_lists: WordLists | None = None

    def attach(self, trainer: Trainer) -> None:
        self.vocabulary = trainer.vocabulary
        self.seed = trainer.settings.seed
        if self.values.phone_loss_weight:
            self.phones = phone_inventory(trainer.recordings)
            if len(self.phones) == 1:
                raise InputError("No line of the manifest has phones.",
                                 "phone_loss_weight needs them.")
        if self.values.word_list_every:
            self.word_lists = WordLists(self.vocabulary, trainer.training_recordings,
                                        trainer.settings.batch_tokens, self.seed)

    def settings(self) -> dict:
        return asdict(self.values)

    def build_network(self, weights: Checkpoint, config: Qwen2Config, lora_rank: int, dtype):
        return PretrainingQwen2(weights, config, lora_rank, dtype, len(self.phones),
                                self.values.guided_attention_weight, self.values.phone_loss_weight)

    def batches(self, loader: DataLoader, completed_steps: int) -> Iterator[Batch]:
        every = self.values.word_list_every
        word_list_steps = completed_steps // every if every else 0
        speech_batches = loader.batches(completed_steps - word_list_steps)
        for step in count(completed_steps + 1):
            if self.word_lists is not None and step % every == 0:
                yield self.word_lists.batch(step)
            else:
                yield self._corrupted(mask_warped_frames(next(speech_batches)), step)

    def _corrupted(self, batch: Batch, step: int) -> Batch:
        if not self.values.token_corruption:
            return batch
        speech = self.vocabulary.bicodec_semantic
        is_speech = (batch.ids >= speech.first) & (batch.ids < speech.first + speech.count)
        random = np.random.default_rng((self.seed, step))
        return replace(batch, ids=corrupt_tokens(
            batch.ids, is_speech, self.values.token_corruption, random))

    def inputs(self, batch: Batch, step: int) -> tuple[Tensor | None, ...]:
        prior = None
        forcing = None
        if self.values.guided_attention_weight:
            targets = attention_targets(
                batch.ids, batch.loss_mask, word_alignments(batch), self.vocabulary)
            prior = Tensor(attention_prior(targets))
            steps = self.values.forced_attention_steps
            forcing = Tensor(max(0.0, 1 - (step - 1) / steps) if steps else 0.0, ms.float32)
        if not self.phones:
            return prior, forcing, None, None, None
        return (prior, forcing,
                Tensor(pronunciation_targets(batch, self.phones, self.vocabulary)),
                Tensor(frame_phone_targets(batch, self.phones)),
                Tensor(current_word_targets(batch, self.phones)))

    def metrics(self, batch: Batch, values: list[float]) -> dict[str, float]:
        """phone_loss: the mean over the phones of a word list."""
        if not values or batch.loss_mask.any():
            return {}
        targets = pronunciation_targets(batch, self.phones, self.vocabulary)
        return {"phone_loss": values[0] / max(1, np.count_nonzero(targets >= 0))}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = finetune.build_parser("python -m recipes.demo_voice.lm.pretrain",
                                   "Train the language model from random weights.")
    group = parser.add_argument_group("pretraining")
    group.add_argument("--guided_attention_weight", type=float, default=0.0)
    group.add_argument("--forced_attention_steps", type=int, default=0)
    group.add_argument("--phone_loss_weight", type=float, default=0.0)
    group.add_argument("--word_list_every", type=int, default=0, metavar="N")
    group.add_argument("--token_corruption", type=float, default=0.0, metavar="FRACTION")
    group.add_argument("--time_warp_prob", type=float, default=0.0, metavar="P")
    parser.set_defaults(normalize=False)        # its words are those that were aligned
    args = parser.parse_args(arguments)
    return run_command(lambda: pretrain(args), finetune.INTERRUPTED)


def pretrain(args: argparse.Namespace) -> None:
    """Encode, align, train and write the model directory."""
    values = {field.name: getattr(args, field.name) for field in fields(PretrainingSettings)}
    settings = PretrainingSettings(**values)
    config, runtime, recordings = finetune.encode_manifest(args)
    aligned = align_recordings(recordings, read_alignments(args.data))
    finetune.train(args, config, runtime, aligned, PretrainingExtension(settings))


if __name__ == "__main__":
    sys.exit(main())
