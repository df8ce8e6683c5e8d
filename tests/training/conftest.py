"""A tiny model's recordings, networks and runs, as the tests of training share them."""

import pytest

from sparktts_ms import SparkTTS
from sparktts_ms.config_files import read_config
from sparktts_ms.runtime import Runtime
from sparktts_ms.training.dataset import encode
from sparktts_ms.training.manifest import Recording
from sparktts_ms.training.model import TrainableQwen2
from sparktts_ms.training.trainer import Settings, Trainer
from sparktts_ms.weights.checkpoint import Checkpoint, find_weights

SMALL = Settings(steps=8, rate=1e-3, warmup=2, tokens=400, longest=512, garble=0.1, holdout=2, evaluate_every=4, save_every=3)


@pytest.fixture(scope="session")
def spark(tiny_model):
    return SparkTTS.from_pretrained(tiny_model, device_target="CPU")


@pytest.fixture(scope="session")
def spoken(spark, wavs, tmp_path_factory):
    recordings = [Recording(wavs / "p16k_mono_3s.wav", "One two.", "a", "female"),
                  Recording(wavs / "p24k_mono_0s5.wav", "Three.", "a", "female"), Recording(wavs / "none.wav", "Lost.")]
    return encode(recordings, spark, tmp_path_factory.mktemp("encoded") / "encoded.jsonl")


def network(folder, rank=0):
    Runtime.start("CPU")
    return TrainableQwen2(Checkpoint(find_weights(folder / "LLM")).at("model"), read_config(folder).llm, rank)


def trainer(model, out, spoken, how=SMALL):
    out.mkdir(exist_ok=True)
    return Trainer(model, out, read_config(model), spoken, how, Runtime.start("CPU"))


class Killed(Exception):
    """What `killed` ends a run with."""


def killed_at(step):
    """To be given to `Trainer.train`: the run dies before that step, counted from 0."""
    def bar(steps):
        for n, batch in enumerate(steps):
            if n == step:
                raise Killed
            yield batch
    return bar
