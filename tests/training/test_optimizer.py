"""The learning rate schedule and the compiled training step."""

from dataclasses import replace
from itertools import pairwise

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from sparktts_ms.config_files import read_config
from sparktts_ms.runtime import Runtime
from sparktts_ms.training.checkpoint import write_arrays
from sparktts_ms.training.model import TrainableQwen2
from sparktts_ms.training.optimizer import TrainingStep, cosine_schedule
from sparktts_ms.weights.checkpoint import Checkpoint, find_weights, open_weights


def test_cosine_schedule():
    rates = [cosine_schedule(n, 100, 1.0, 10) for n in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == 1.0 == max(rates)
    assert rates[100] == pytest.approx(0.05)
    assert all(a > b for a, b in pairwise(rates[10:]))


@pytest.mark.slow
def test_24_layers_compile(tiny_model, tmp_path):
    """A loop over the hundreds of weights would nest more than 1,000 calls deep in the compiler."""
    config = read_config(tiny_model).llm
    file = open_weights(find_weights(tiny_model / "LLM"))
    arrays = {name: file.read(name).astype(np.float32) for name in file.info}
    first_layer = {name: array for name, array in arrays.items() if "layers.0." in name}
    for n in range(24):
        for name, array in first_layer.items():
            arrays[name.replace("layers.0.", f"layers.{n}.")] = array
    write_arrays(tmp_path / "deep.safetensors", arrays)
    runtime = Runtime.start("CPU")
    weights = Checkpoint(tmp_path / "deep.safetensors").at("model")
    network = TrainableQwen2(weights, replace(config, num_hidden_layers=24), 2)
    step = TrainingStep(network, 0.01)
    assert len(step.weights) == 24 * 7 * 2

    def training_step(*inputs):
        return step(*inputs)

    ids = np.arange(16, dtype=np.int32)
    loss, _, grad_norm = runtime.compile(training_step, "step")(
        Tensor(1e-3, ms.float32), Tensor(ids), Tensor(np.roll(ids, -1)),
        Tensor(np.ones(16, np.float32)), *network.rope_and_mask(16))
    assert np.isfinite(float(loss.asnumpy()))
    assert float(grad_norm.asnumpy()) > 0
