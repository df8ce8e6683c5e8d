"""Complete runs: they learn, resume bit-exactly after a kill, and refuse settings without sense."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from mindspore import Tensor
from safetensors.numpy import save_file

from sparktts_ms import Sampling, SparkTTS
from sparktts_ms.errors import InputError
from sparktts_ms.training.extension import TrainingExtension
from sparktts_ms.training.model import TrainableQwen2
from sparktts_ms.training.trainer import TrainingSettings
from sparktts_ms.voice import Voice
from sparktts_ms.weights.checkpoint import open_weights
from tests.helpers import TRAINING_SETTINGS, Killed, killed_after, make_trainer


def read_entries(folder):
    return [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("mode", ["pynative", pytest.param("graph", marks=pytest.mark.slow)])
def test_resumed_run_is_bit_exact(tiny_model, recordings, tmp_path, mode):
    complete = tmp_path / "complete"
    resumed = tmp_path / "resumed"
    make_trainer(tiny_model, complete, recordings, mode=mode).train()
    with pytest.raises(Killed):
        make_trainer(tiny_model, resumed, recordings, mode=mode).train(killed_after(5))
    (resumed / "progress.jsonl").open("a").write('{"step": 4, "lo')
    make_trainer(tiny_model, resumed, recordings, mode=mode).train()
    states = [(folder / "state.safetensors").read_bytes() for folder in (complete, resumed)]
    assert states[0] == states[1]
    validation = []
    for folder in (complete, resumed):
        validation.append([entry for entry in read_entries(folder) if "val_loss" in entry])
    assert validation[0] == validation[1]
    settings = replace(TRAINING_SETTINGS, learning_rate=0.01)
    with pytest.raises(InputError, match=r"learning_rate: 0\.001 there, 0\.01 now"):
        make_trainer(tiny_model, resumed, recordings, settings).train()


def test_texts_are_normalized_as_at_inference(tiny_model, recordings, tmp_path):
    spoken = [replace(recording, text="It costs $5.") for recording in recordings]
    trainer = make_trainer(tiny_model, tmp_path, spoken)
    assert {recording.text for recording in trainer.recordings} == {"It costs five dollars."}
    raw = replace(TRAINING_SETTINGS, normalize=False)
    trainer = make_trainer(tiny_model, tmp_path, spoken, raw)
    assert {recording.text for recording in trainer.recordings} == {"It costs $5."}


def test_older_run_was_not_normalized(tiny_model, recordings, tmp_path):
    raw = replace(TRAINING_SETTINGS, normalize=False)
    trainer = make_trainer(tiny_model, tmp_path, recordings, raw)
    del trainer.state.settings["normalize"]         # as a run before there was this setting
    trainer.train()
    with pytest.raises(InputError, match="normalize: False there, True now"):
        make_trainer(tiny_model, tmp_path, recordings).train()
    make_trainer(tiny_model, tmp_path, recordings, raw).train()


def with_head(tiny_model, folder, change, tied):
    """A model directory whose language model has an lm_head.weight, the embedding plus `change`."""
    shutil.copytree(tiny_model, folder)
    file = open_weights(folder / "LLM" / "model.safetensors")
    arrays = {name: np.array(file.read(name)) for name in file.info}
    arrays["lm_head.weight"] = arrays["model.embed_tokens.weight"] + np.float32(change)
    save_file(arrays, folder / "LLM" / "model.safetensors")
    config = json.loads((folder / "LLM" / "config.json").read_text())
    config["tie_word_embeddings"] = tied
    (folder / "LLM" / "config.json").write_text(json.dumps(config))
    return folder


def test_model_with_its_own_head_is_not_trained(tiny_model, recordings, tmp_path):
    model = with_head(tiny_model, tmp_path / "model", 0.1, tied=False)
    with pytest.raises(InputError, match=r"lm_head\.weight"):
        make_trainer(model, tmp_path / "out", recordings)


def test_trained_model_says_that_it_is_tied(tiny_model, recordings, tmp_path):
    model = with_head(tiny_model, tmp_path / "model", 0.0, tied=False)
    (model / "LLM" / "optimizer.pt").touch()
    written = make_trainer(model, tmp_path / "out", recordings).write_model()
    assert json.loads((written / "LLM" / "config.json").read_text())["tie_word_embeddings"] is True
    assert json.loads((model / "LLM" / "config.json").read_text())["tie_word_embeddings"] is False
    assert not (written / "LLM" / "optimizer.pt").exists()
    SparkTTS.from_pretrained(written, device_target="CPU").load()


def test_progress_keys(tiny_model, recordings, tmp_path):
    make_trainer(tiny_model, tmp_path, recordings).train()
    keys = {frozenset(entry) for entry in read_entries(tmp_path)}
    assert keys == {
        frozenset(("step", "lr", "loss", "accuracy", "grad_norm", "tokens_per_second")),
        frozenset(("step", "val_loss", "val_accuracy")),
    }


@pytest.mark.slow
def test_trained_model_repeats_its_recordings(tiny_model, recordings, tmp_path):
    """From recordings to a model directory that generates their very ids at temperature 0."""
    short = []
    for recording in recordings:
        short.append(replace(recording, speaker=None, gender=None,
                             semantic_ids=recording.semantic_ids[:20]))
    settings = TrainingSettings(max_steps=120, learning_rate=3e-3, warmup_steps=10,
                                batch_tokens=400, max_length=512, validation_every=3,
                                save_steps=200)
    trainer = make_trainer(tiny_model, tmp_path / "run", short, settings)
    trainer.train()
    tts = SparkTTS.from_pretrained(trainer.write_model("float16"), device_target="CPU")
    sampling = Sampling(temperature=0, max_new_tokens=40)
    for recording in short:
        voice = Voice(np.array(recording.global_ids))
        speech = tts.synthesize(recording.text, voice, sampling=sampling)
        assert speech.semantic_ids.tolist() == recording.semantic_ids
        assert speech.complete


class WeightPenalty(TrainableQwen2):
    """Adds the squared norm of the embedding, times an input."""

    def construct(self, ids, targets, loss_mask, cos, sin, mask, factor=None):
        outputs = super().construct(ids, targets, loss_mask, cos, sin, mask)
        if factor is None:
            return outputs
        penalty = (self.embed_tokens.weight * self.embed_tokens.weight).sum()
        return outputs[0], outputs[1], factor * penalty, penalty


class PenaltyExtension(TrainingExtension):
    """An extension of each kind: a network, its inputs, a metric, and a batch transform."""

    def __init__(self, factor):
        self.factor = factor
        self.steps = []

    def settings(self):
        return {"factor": self.factor}

    def build_network(self, weights, config, lora_rank, dtype):
        return WeightPenalty(weights, config, lora_rank, dtype)

    def batches(self, loader, completed_steps):
        for batch in loader.batches(completed_steps):
            yield replace(batch, ids=np.maximum(batch.ids, 1))

    def inputs(self, batch, step):
        assert batch.ids.min() == 1
        self.steps.append(step)
        return (Tensor(np.float32(self.factor)),)

    def metrics(self, batch, values):
        return {"penalty": values[0]}


def test_extension_adds_a_loss_and_transforms_batches(tiny_model, recordings, tmp_path):
    penalties = {}
    for factor in (0.0, 10.0):
        folder = tmp_path / str(factor)
        extension = PenaltyExtension(factor)
        make_trainer(tiny_model, folder, recordings, extension=extension).train()
        assert extension.steps == list(range(1, 9))
        penalties[factor] = next(entry["penalty"] for entry in read_entries(folder)
                                 if "penalty" in entry)
    assert penalties[10.0] < 0.999 * penalties[0.0]
    with pytest.raises(InputError, match=r"factor: 10\.0 there, 1\.0 now"):
        make_trainer(tiny_model, folder, recordings, extension=PenaltyExtension(1.0)).train()


@pytest.mark.parametrize("values", [
    {"max_steps": 0},
    {"learning_rate": 0.0},
    {"learning_rate": 1.5},
    {"validation_every": 1},
    {"lora_rank": -1},
    {"batch_tokens": 0},
])
def test_invalid_settings(values):
    with pytest.raises(InputError, match=next(iter(values))):
        TrainingSettings(**values)
