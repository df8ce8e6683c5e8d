"""The hook for experiments: what a run may add to the trainer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from mindspore import Tensor

from sparktts_ms.config import Qwen2Config
from sparktts_ms.training.batches import Batch, DataLoader
from sparktts_ms.training.dataset import EncodedRecording
from sparktts_ms.training.model import TrainableQwen2
from sparktts_ms.weights.checkpoint import Checkpoint

if TYPE_CHECKING:
    from sparktts_ms.training.trainer import Trainer


class TrainingExtension:
    """Override what an experiment needs; every default leaves training as it is.

    A batch transform overrides `batches`. An auxiliary loss overrides `build_network`, with a
    subclass of TrainableQwen2 that returns it, and `inputs`. See docs/training.md.
    """

    augment_prob = 0.0      # of an example to see its recording through `augment`

    def attach(self, trainer: Trainer) -> None:
        """Called first; the trainer has settings, vocabulary, recordings, training_recordings."""

    def settings(self) -> dict:
        """JSON values that must not change when a run is resumed."""
        return {}

    def build_network(self, weights: Checkpoint, config: Qwen2Config, lora_rank: int,
                      dtype) -> TrainableQwen2:
        return TrainableQwen2(weights, config, lora_rank, dtype)

    def augment(self, recording: EncodedRecording,
                random: np.random.Generator) -> EncodedRecording:
        return recording

    def batches(self, loader: DataLoader, completed_steps: int) -> Iterator[Batch]:
        """The batches of the following steps; each depends on the number of the step alone."""
        return loader.batches(completed_steps)

    def inputs(self, batch: Batch, step: int) -> tuple[Tensor | None, ...]:
        """What the network takes beside the batch, rotary tables and mask; not in validation."""
        return ()

    def metrics(self, batch: Batch, values: list[float]) -> dict[str, float]:
        """What to log of the metrics that the network returned for `batch`."""
        return {}
