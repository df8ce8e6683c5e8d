"""Fine-tuning from a manifest to a model directory:

    recordings -> ids -> sequences -> batches -> steps -> weights in the released layout
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import count, islice
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor

from sparktts_ms.config import ModelConfig
from sparktts_ms.errors import InputError
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.runtime import Runtime
from sparktts_ms.training.batches import Batch, Schedule, batches
from sparktts_ms.training.checkpoint import State, append_line, forget_lines, write_model
from sparktts_ms.training.dataset import EncodedRecording
from sparktts_ms.training.examples import make_examples
from sparktts_ms.training.garble import garble
from sparktts_ms.training.guide import guide
from sparktts_ms.training.model import TrainableQwen2
from sparktts_ms.training.optimizer import TrainingStep, rate
from sparktts_ms.training.pages import Pages
from sparktts_ms.training.phones import frame_phones, inventory, pronunciations, words
from sparktts_ms.weights.checkpoint import Checkpoint, find_weights

logger = logging.getLogger("sparktts_ms")

NOTE_EVERY = 20         # steps between lines of progress


@dataclass(frozen=True)
class Settings:
    """How to train. `lora` is the rank of the added products, 0 trains all weights; `tokens` of a batch; `longest` sequence
    in ids; `guide` weighs the pull of `guide.py`, and for `hold` steps the heads it pulls are held to the text, less and less;
    `phones` weighs the lessons of `phones.py`, and one batch in `pages` is a page of words (`pages.py`); `garble` is the share
    of speech tokens that are read wrongly (`garble.py`), `warp` that of recordings whose time runs unevenly (`warp.py`); one
    recording in `holdout` is never trained on."""

    steps: int = 1000
    rate: float = 1e-4
    warmup: int = 50
    decay: float = 0.01
    tokens: int = 4096
    longest: int = 2048
    lora: int = 0
    guide: float = 0.0
    hold: int = 0
    phones: float = 0.0
    pages: int = 0
    garble: float = 0.0
    warp: float = 0.0
    holdout: int = 20
    seed: int = 0
    evaluate_every: int = 250
    save_every: int = 100

    def __post_init__(self):
        for name in ("steps", "tokens", "longest", "evaluate_every", "save_every"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} is {getattr(self, name)}; it must be at least 1.")
        if not 0 < self.rate < 1:
            raise InputError(f"--rate is {self.rate}; it must lie between 0 and 1.")
        if not 0 <= self.garble <= 0.5:
            raise InputError(f"--garble is {self.garble}; it must lie between 0 and 0.5.")
        if not 0 <= self.warp <= 1:
            raise InputError(f"--warp is {self.warp}; it must lie between 0 and 1.")
        if min(self.warmup, self.lora, self.hold, self.decay, self.guide, self.phones, self.pages) < 0 or self.holdout < 2:
            raise InputError("--warmup, --lora, --guide, --hold, --phones, --pages and --decay must be at least 0, "
                             "--holdout at least 2.")
        if self.pages and not self.phones:
            raise InputError("--pages teaches phones; give --phones too.")

    @property
    def lasting(self) -> dict:
        """What a run cannot go on with once it has changed."""
        return {k: v for k, v in asdict(self).items() if k not in ("evaluate_every", "save_every")}


class Trainer:
    """One run in the folder `out`; created anew after a kill, it goes on from the last saved state."""

    def __init__(self, base: Path, out: Path, config: ModelConfig, spoken: list[EncodedRecording], settings: Settings, runtime: Runtime):
        self.base, self.out, self.settings, self.runtime = base, out, settings, runtime
        self.vocabulary = Vocabulary(base / "LLM" / "tokenizer.json", config.llm.eos_token_id, config.llm.vocab_size)
        weights = Checkpoint(find_weights(base / "LLM"))
        dtype = {"float32": ms.float32, "bfloat16": ms.bfloat16}[runtime.llm_dtype]
        self.phones = inventory(spoken) if settings.phones else []
        if len(self.phones) == 1:
            raise InputError("--phones: no line of the manifest has phones.")
        self.network = TrainableQwen2(weights.at("model"), config.llm, settings.lora, dtype, len(self.phones))
        weights.finish((r"lm_head\.weight",))
        self.network.set_train()
        step = TrainingStep(self.network, settings.decay, settings.guide, settings.phones)
        self.parameters = [*step.weights, *step.first, *step.second]

        def learn(*inputs):
            return step(*inputs)

        self._learn = runtime.compile(learn, "training step")
        self._surroundings: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

        held = [one for n, one in enumerate(spoken) if n % settings.holdout == settings.holdout - 1]
        self.known = [one for n, one in enumerate(spoken) if n % settings.holdout != settings.holdout - 1]
        longest = settings.longest
        self.schedule = Schedule(lambda random: make_examples(self.vocabulary, self.known, random, longest, settings.warp),
                                 settings.tokens, longest, settings.seed)
        self.pages = Pages(self.vocabulary, self.known, settings.tokens, settings.seed) if settings.pages else None
        self.unseen = list(batches(make_examples(self.vocabulary, held, np.random.default_rng(settings.seed), longest),
                                   settings.tokens, longest)) if held else []
        self.progress_file = out / "progress.jsonl"
        self.state = State(out / "state.safetensors", {**settings.lasting, "recordings": len(spoken)},
                           later=Settings().lasting)

    def train(self, bar: Callable[[Iterable], Iterable] = iter, report: Callable[[dict], None] = lambda entry: None) -> None:
        """All steps that are still to do, then the model directory `out`/model. `bar` wraps the loop over steps, as tqdm
        does; `report` gets each line of progress."""
        s = self.settings
        done = self.state.load(self.parameters)
        forget_lines(self.progress_file, done)
        if done:
            logger.info("Going on after step %d.", done)
        losses: list[list[float]] = []
        misread: list[float] = []
        tokens, began = 0.0, time.perf_counter()
        for number, batch in enumerate(bar(islice(self._batches(done), max(0, s.steps - done))), done + 1):
            learning_rate = Tensor(rate(number - 1, s.steps, s.rate, s.warmup), ms.float32)
            lessons = self._lessons(batch, number - 1)
            *measured, lost = [float(x.asnumpy()) for x in self._learn(
                learning_rate, *self._inputs(self._garbled(batch, number)), *lessons)]
            if not np.isfinite([measured[0], lost]).all():
                raise InputError(f"The loss is no longer finite at step {number}; lower --rate.")
            if batch.counts.any():
                losses.append(measured)
            else:
                taught = [lesson.asnumpy() >= 0 for lesson in lessons[2:] if lesson is not None]
                misread.append(lost / max(1, sum(map(np.count_nonzero, taught))))
            tokens += batch.counts.sum()
            last = number == s.steps
            if number % NOTE_EVERY == 0 or last:
                entry = {"step": number, "rate": float(learning_rate.asnumpy())}
                if losses:
                    loss, hits, norm = np.mean(losses, 0)
                    entry |= {"loss": round(float(loss), 4), "hits": round(float(hits), 4), "norm": round(float(norm), 3),
                              "tokens_per_second": round(tokens / (time.perf_counter() - began), 1)}
                if misread:
                    entry["misread"] = round(float(np.mean(misread)), 4)
                self._note(entry, report)
                losses, misread, tokens, began = [], [], 0.0, time.perf_counter()
            if self.unseen and (number % s.evaluate_every == 0 or last):
                self._note({"step": number, **self.evaluate()}, report)
                began = time.perf_counter()
            if number % s.save_every == 0 or last:
                self.state.save(number, self.parameters)

    def _batches(self, done: int) -> Iterator[Batch]:
        """The batches of steps done + 1, done + 2, ...: speech, and every so often a page."""
        every = self.settings.pages
        speech = self.schedule(done - done // every if every else done)
        for number in count(done + 1):
            yield self.pages(number) if self.pages is not None and number % every == 0 else next(speech)

    def evaluate(self) -> dict:
        """Mean loss and share of targets hit over the recordings held out."""
        loss, hits, count = 0.0, 0.0, 0.0
        for batch in self.unseen:
            sums = [float(x.asnumpy()) for x in self.network(*self._inputs(batch))]     # graphs of its own would double memory
            loss, hits, count = loss + sums[0], hits + sums[1], count + float(batch.counts.sum())
        return {"unseen_loss": round(loss / count, 4), "unseen_hits": round(hits / count, 4)}

    def write_model(self, dtype: str = "float32") -> Path:
        """The model directory `out`/model, weights stored as `dtype` ("float32" or "float16")."""
        folder = self.out / "model"
        write_model(self.base, folder, self.network.released(), dtype)
        return folder

    def _inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        length = batch.ids.shape[1]
        if length not in self._surroundings:
            self._surroundings[length] = self.network.surroundings(length)
        return (Tensor(batch.ids.reshape(-1)), Tensor(batch.targets.reshape(-1)), Tensor(batch.counts.reshape(-1)),
                *self._surroundings[length])

    def _garbled(self, batch: Batch, step: int) -> Batch:
        s, semantic = self.settings, self.vocabulary.bicodec_semantic
        if not s.garble:
            return batch
        speech = (batch.ids >= semantic.first) & (batch.ids < semantic.first + semantic.count)
        return replace(batch, ids=garble(batch.ids, speech, s.garble, np.random.default_rng((s.seed, step))))

    def _lessons(self, batch: Batch, step: int) -> tuple[Tensor | None, ...]:
        """What is taught beside the targets: the guide, how much it holds, how words are spelt, phones, and words being said."""
        s = self.settings
        hold = Tensor(max(0.0, 1 - step / s.hold) if s.hold else 0.0, ms.float32)
        lead = (Tensor(guide(batch, self.vocabulary)), hold) if s.guide else (None, None)
        if not s.phones:
            return (*lead, None, None, None)
        return (*lead, Tensor(pronunciations(batch, self.phones, self.vocabulary)), Tensor(frame_phones(batch, self.phones)),
                Tensor(words(batch, self.phones)))

    def _note(self, entry: dict, report: Callable[[dict], None]) -> None:
        append_line(self.progress_file, entry)
        report(entry)
