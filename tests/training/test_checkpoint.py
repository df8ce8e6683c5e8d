"""Training states, model directories and progress files."""

import json

import numpy as np
import pytest
from mindspore import Parameter, Tensor

from sparktts_ms.errors import InputError
from sparktts_ms.runtime import Runtime
from sparktts_ms.training.checkpoint import (
    TrainingState,
    read_progress,
    truncate_progress,
    write_model,
)
from sparktts_ms.weights.safetensors_file import SafetensorsFile


def test_state_of_a_run_with_fewer_settings(tmp_path):
    Runtime.start("CPU", mode="pynative")
    path = tmp_path / "state.safetensors"
    weight = Parameter(Tensor(np.arange(3, dtype=np.float32)), name="weight")
    TrainingState(path, {"seed": 1}, {}).save(3, [weight])
    weight.set_data(Tensor(np.zeros(3, np.float32)))
    defaults = {"seed": 2, "new": 0.0}
    state = TrainingState(path, {"seed": 1, "new": 0.0}, defaults)
    assert state.load([weight]) == 3
    assert weight.asnumpy().tolist() == [0, 1, 2]
    for other in ({"seed": 2, "new": 0.0}, {"seed": 1, "new": 0.5}):
        with pytest.raises(InputError, match="other settings"):
            TrainingState(path, other, defaults).load([weight])


def test_progress_is_truncated_after_the_saved_step(tmp_path):
    path = tmp_path / "progress.jsonl"
    entries = [{"step": n, "loss": 1.0} for n in (20, 40, 60)]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries) + '{"step": 8')
    truncate_progress(path, 40)
    assert read_progress(path) == entries[:2]
    assert read_progress(tmp_path / "none.jsonl") == []


def test_model_directory_shares_unchanged_files(tiny_model, tmp_path):
    output = tmp_path / "model"
    for value in (1.0, 2.0):
        write_model(tiny_model, output, {"weight": np.full(2, value, np.float32)}, "float16")
        file = SafetensorsFile(output / "LLM" / "model.safetensors")
        assert file.read("weight").tolist() == [value, value]
        assert file.info["weight"].dtype == "F16"
    names = {path.relative_to(tiny_model) for path in tiny_model.rglob("*")}
    assert {path.relative_to(output) for path in output.rglob("*")} == names
    assert (output / "config.yaml").read_bytes() == (tiny_model / "config.yaml").read_bytes()
