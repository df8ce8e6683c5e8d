"""Fine-tuning: encoded recordings -> examples -> batches -> steps -> a model directory."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor

from sparktts_ms.config import ModelConfig
from sparktts_ms.errors import InputError
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.qwen2.language_model import LAYOUT, is_tied
from sparktts_ms.runtime import Runtime
from sparktts_ms.storage.output_lock import lock_output
from sparktts_ms.text.normalize import normalize
from sparktts_ms.training.batches import Batch, DataLoader, make_batches
from sparktts_ms.training.checkpoint import TrainingState, truncate_progress, write_model
from sparktts_ms.training.dataset import EncodedRecording
from sparktts_ms.training.examples import ExampleBuilder, TrainingExample
from sparktts_ms.training.extension import TrainingExtension
from sparktts_ms.training.json_lines import append_json_line
from sparktts_ms.training.optimizer import TrainingStep, cosine_schedule
from sparktts_ms.weights.checkpoint import Checkpoint, find_weights

logger = logging.getLogger("sparktts_ms")

LOG_STEPS = 20      # steps between entries of the progress file
MINIMA = {"max_steps": 1, "batch_tokens": 1, "max_length": 1, "eval_steps": 1, "save_steps": 1,
          "warmup_steps": 0, "weight_decay": 0, "lora_rank": 0, "validation_every": 2}


@dataclass(frozen=True)
class TrainingSettings:
    """How to train. Raises InputError for values out of range.

    learning_rate: peak, reached after `warmup_steps`, then a cosine to 5 % at `max_steps`.
    lora_rank: rank of the LoRA matrices; 0 trains all weights. batch_tokens: token ids in a batch.
    max_length: token ids in an example; longer ones are left out. validation_every: every nth
    recording is for validation. eval_steps, save_steps: steps between validations and saved states.
    normalize: write numbers and symbols of the texts out as words first, as inference does.
    """

    max_steps: int = 1000
    learning_rate: float = 1e-4
    warmup_steps: int = 50
    weight_decay: float = 0.01
    batch_tokens: int = 4096
    max_length: int = 2048
    lora_rank: int = 0
    validation_every: int = 20
    seed: int = 0
    eval_steps: int = 250
    save_steps: int = 100
    normalize: bool = True

    def __post_init__(self):
        for name, minimum in MINIMA.items():
            if getattr(self, name) < minimum:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least {minimum}.")
        if not 0 < self.learning_rate < 1:
            raise InputError(
                f"learning_rate is {self.learning_rate}; it must lie between 0 and 1.")

    def fixed(self) -> dict:
        """The settings that must not change when a run is resumed."""
        values = asdict(self)
        del values["eval_steps"], values["save_steps"]
        return values


class Trainer:
    """One run in `output_dir`; created again after a kill, it resumes from the last saved state."""

    def __init__(self, base: Path, output_dir: Path, config: ModelConfig,
                 recordings: list[EncodedRecording], settings: TrainingSettings, runtime: Runtime,
                 extension: TrainingExtension | None = None):
        """base: the model directory to begin with."""
        self.base = base
        self.output_dir = output_dir
        self.settings = settings
        if settings.normalize:
            recordings = [replace(recording, text=normalize(recording.text))
                          for recording in recordings]
        self.recordings = recordings
        every = settings.validation_every
        validation_recordings = recordings[every - 1::every]
        self.training_recordings = [r for n, r in enumerate(recordings, 1) if n % every]
        self.vocabulary = Vocabulary(
            base / "LLM" / "tokenizer.json", config.llm.eos_token_id, config.llm.vocab_size)
        self.extension = extension or TrainingExtension()
        self.extension.attach(self)
        self._build_step(config, runtime)
        builder = ExampleBuilder(self.vocabulary, settings.max_length, self.extension.augment,
                                 self.extension.augment_prob)

        def make_epoch(random: np.random.Generator) -> list[TrainingExample]:
            return builder.epoch(self.training_recordings, random)

        self.loader = DataLoader(
            make_epoch, settings.batch_tokens, settings.max_length, settings.seed)
        self.validation_batches: list[Batch] = []
        if validation_recordings:
            plain_builder = ExampleBuilder(self.vocabulary, settings.max_length)
            random = np.random.default_rng(settings.seed)
            self.validation_batches += make_batches(
                plain_builder.epoch(validation_recordings, random), settings.batch_tokens,
                settings.max_length)
        self.progress_file = output_dir / "progress.jsonl"
        fixed = {**settings.fixed(), **self.extension.settings(), "recordings": len(recordings)}
        self.state = TrainingState(output_dir / "state.safetensors", fixed,
                                   defaults={**TrainingSettings().fixed(), "normalize": False})

    def _build_step(self, config: ModelConfig, runtime: Runtime) -> None:
        weights = Checkpoint(find_weights(self.base / "LLM"), LAYOUT)
        if not is_tied(weights, config.llm):
            raise InputError("{subject} has an output matrix of its own (lm_head.weight), which "
                             "cannot be trained here.", "Train it with transformers or unsloth; "
                             "the result can be used here.", subject=weights.path)
        dtype = ms.bfloat16 if runtime.llm_dtype == "bfloat16" else ms.float32
        self.network = self.extension.build_network(
            weights.at("model"), config.llm, self.settings.lora_rank, dtype)
        weights.finish((r"lm_head\.weight",))
        self.network.set_train()
        step = TrainingStep(self.network, self.settings.weight_decay)
        self.parameters = [*step.weights, *step.moment1, *step.moment2]

        def training_step(*inputs):
            return step(*inputs)

        self._training_step = runtime.compile(training_step, "training step")
        self._rope_and_mask: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def train(self, progress_bar: Callable[[Iterable], Iterable] = iter,
              report: Callable[[dict], None] = lambda entry: None) -> None:
        """Take all remaining steps.

        progress_bar: wraps the loop over batches, as tqdm does; report: gets each entry of the
        progress file. Raises InputError if the loss is no longer finite, or another process trains
        in the same folder.
        """
        with lock_output(self.output_dir):
            self._train(progress_bar, report)

    def _train(self, progress_bar: Callable[[Iterable], Iterable],
               report: Callable[[dict], None]) -> None:
        s = self.settings
        completed = self.state.load(self.parameters)
        truncate_progress(self.progress_file, completed)
        if completed:
            logger.info("Resuming after step %d.", completed)
        batches = islice(self.extension.batches(self.loader, completed),
                         max(0, s.max_steps - completed))
        window = _Window()
        for step, batch in enumerate(progress_bar(batches), completed + 1):
            lr = cosine_schedule(step - 1, s.max_steps, s.learning_rate, s.warmup_steps)
            window.add(self._take_step(step, batch, lr), batch)
            is_last = step == s.max_steps
            if step % LOG_STEPS == 0 or is_last:
                self._log({"step": step, "lr": lr, **window.averages()}, report)
                window = _Window()
            if self.validation_batches and (step % s.eval_steps == 0 or is_last):
                self._log({"step": step, **self.evaluate()}, report)
                window.start = time.perf_counter()
            if step % s.save_steps == 0 or is_last:
                self.state.save(step, self.parameters)

    def _take_step(self, step: int, batch: Batch, lr: float) -> dict[str, float]:
        """Update the weights; returns the metrics of the batch."""
        outputs = self._training_step(Tensor(lr, ms.float32), *self._inputs(batch),
                                      *self.extension.inputs(batch, step))
        loss, accuracy, grad_norm, *others = [float(output.asnumpy()) for output in outputs]
        if not np.isfinite([loss, grad_norm, *others]).all():
            raise InputError(f"The loss is not finite at step {step}.", "Lower learning_rate.")
        metrics = self.extension.metrics(batch, others)
        if batch.loss_mask.any():
            metrics = {"loss": loss, "accuracy": accuracy, "grad_norm": grad_norm, **metrics}
        return metrics

    def _inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        length = batch.ids.shape[1]
        if length not in self._rope_and_mask:
            self._rope_and_mask[length] = self.network.rope_and_mask(length)
        arrays = (batch.ids, batch.targets, batch.loss_mask)
        return (*(Tensor(array.reshape(-1)) for array in arrays), *self._rope_and_mask[length])

    def evaluate(self) -> dict[str, float]:
        """val_loss and val_accuracy: means over the targets of the validation recordings."""
        sums = np.zeros(2)
        targets = 0.0
        for batch in self.validation_batches:
            outputs = self.network(*self._inputs(batch))    # compiled, it would double the memory
            sums += [float(output.asnumpy()) for output in outputs]
            targets += float(batch.loss_mask.sum())
        loss, accuracy = sums / targets
        return {"val_loss": round(loss, 4), "val_accuracy": round(accuracy, 4)}

    def write_model(self, dtype: str = "float32") -> Path:
        """Write the model directory `output_dir`/model; weights as `dtype` (float32, float16)."""
        folder = self.output_dir / "model"
        write_model(self.base, folder, self.network.state_dict(), dtype)
        return folder

    def _log(self, entry: dict, report: Callable[[dict], None]) -> None:
        append_json_line(self.progress_file, entry)
        report(entry)


class _Window:
    """Metrics of the steps since the last entry of the progress file."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}
        self.targets = 0.0
        self.start = time.perf_counter()

    def add(self, metrics: dict[str, float], batch: Batch) -> None:
        for name, value in metrics.items():
            self.values.setdefault(name, []).append(value)
        self.targets += float(batch.loss_mask.sum())

    def averages(self) -> dict[str, float]:
        averages = {name: round(float(np.mean(values)), 4) for name, values in self.values.items()}
        if self.targets:
            seconds = time.perf_counter() - self.start
            averages["tokens_per_second"] = round(self.targets / seconds, 1)
        return averages
