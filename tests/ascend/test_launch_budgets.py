"""How much a step asks of the device: launches, copies and waits, at most.

The sections are those of `make ascend-rehearsal`, in graph mode and bfloat16. The model has the
released number of layers, which decides, and narrow ones; operators are recorded, not computed.
"""

import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import pytest
from safetensors.numpy import load_file, save_file

from tests.ascend.log import variables
from tests.helpers import ROOT, generate_model
from tools.ascend_worker import Measurement, Networks

LAYERS = 24
# What is copied within the device are rows of queries, keys and values: of 896 + 2 x 128 elements
# at released size, of 96 + 2 x 32 here.
WIDTH = (896 + 2 * 128) / (96 + 2 * 32)


@dataclass(frozen=True)
class Budget:
    """The most that a step may need; None: not limited."""

    aclop: int = 0                      # operators that a device compiles online, for each shape
    launches: int | None = None
    d2d_bytes: int | None = None        # at released size
    h2d: int | None = None
    d2h: int | None = None
    syncs: int | None = None


BUDGETS = {
    "decode_step": Budget(launches=400, d2d_bytes=2**20, h2d=2, d2h=2, syncs=3),
    "prefill_chunk": Budget(launches=450, d2d_bytes=2**20),
    "speaker_encoder": Budget(),
    "wav2vec2": Budget(),
    "semantic_encoder": Budget(),
    "prenet": Budget(),
    "wave_generator": Budget(),
}


def deepen(model: Path) -> None:
    """Give a generated language model LAYERS layers, by repeating its first one."""
    config_file = model / "LLM" / "config.json"
    config = json.loads(config_file.read_text())
    layers = config["num_hidden_layers"]
    config["num_hidden_layers"] = config["max_window_layers"] = LAYERS
    config_file.write_text(json.dumps(config))
    weights_file = model / "LLM" / "model.safetensors"
    weights = load_file(weights_file)
    first = {name: array for name, array in weights.items() if ".layers.0." in name}
    for layer in range(layers, LAYERS):
        for name, array in first.items():
            weights[name.replace(".layers.0.", f".layers.{layer}.")] = array
    save_file(weights, weights_file)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = generate_model(tmp_path_factory.mktemp("deep") / "model", "--size", "tiny")
    deepen(folder)
    return folder


@contextmanager
def measuring(model, capture=False):
    """measure(section): column -> count of one call, remembered."""
    measured = {}

    def measure(section):
        if section not in measured:
            step = networks.section(section)
            measured[section] = Measurement(step, ms.runtime.synchronize).count()
            measured[section]["d2d_bytes"] *= WIDTH
        return measured[section]

    with variables(STANDIN_COMPUTE="0"):
        networks = Networks(ROOT, model, "graph", "bfloat16", capture)
        yield measure


@pytest.fixture(scope="module")
def figures(model):
    with measuring(model) as measure:
        yield measure


LIMITS = [pytest.param(section, column, most, id=f"{section}-{column}")
          for section, budget in BUDGETS.items()
          for column, most in vars(budget).items() if most is not None]


@pytest.mark.parametrize(("section", "column", "most"), LIMITS)
def test_budget(figures, section, column, most):
    assert figures(section)[column] <= most, figures(section)


def test_sixteen_sequences_need_hardly_more_than_one(figures):
    one, many = figures("decode_step"), figures("decode_step_16")
    assert many["launches"] <= 1.1 * one["launches"]
    for column in ("aclop", "h2d", "d2h", "syncs"):
        assert many[column] == one[column], column


def test_a_captured_decode_step_is_one_launch(model):
    with measuring(model, capture=True) as measure:
        step = measure("decode_step")
    assert step["operators"] == {"capture:replay": 1}
    assert step["h2d"] <= 2 and step["d2h"] <= 2 and step["syncs"] <= 3
