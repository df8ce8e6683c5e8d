"""Calibration of 4-bit weights: what rounding is told of the inputs, and what it gains."""

import numpy as np
import pytest

from sparktts_ms.config_files import read_config
from sparktts_ms.ops.native import library
from sparktts_ms.qwen2 import calibration
from sparktts_ms.qwen2.calibration import error_factor
from sparktts_ms.qwen2.language_model import LanguageModel
from sparktts_ms.runtime import Runtime
from sparktts_ms.weights.checkpoint import find_weights


@pytest.mark.parametrize("largest", [200, 64])
def test_factor(kernels, monkeypatch, largest):
    monkeypatch.setattr(calibration, "BLOCK", largest)
    random = np.random.default_rng(0)
    inputs = 100
    rows = random.standard_normal((50, inputs)) @ random.standard_normal((inputs, inputs))
    factor = error_factor(rows.astype(np.float32))
    block = library.factor_block(inputs, largest)
    assert factor.shape == (inputs, block)
    damping = calibration.DAMPING * np.square(rows).mean()
    for first in range(0, inputs, block):
        x = rows[:, first:first + block]
        size = x.shape[1]
        part = factor[first:first + size, :size].astype(np.float64)
        unit = np.triu(part, 1) + np.eye(size)
        products = unit @ np.diag(np.diag(part)) @ unit.T
        expected = x.T @ x / len(x) + damping * np.eye(size)
        np.testing.assert_allclose(products, expected, atol=1e-4 * expected.max())
        assert not np.tril(part, -1).any()


def test_calibrated_layers_change_the_hidden_states_of_other_prompts_less(kernels, tiny_model):
    config = read_config(tiny_model).llm
    path = find_weights(tiny_model / "LLM")
    random = np.random.default_rng(1)
    prompts = random.integers(0, 1400, (8, 200))
    others = random.integers(0, 1400, (4, 64))

    def states(quantize, prompts=()):
        runtime = Runtime.start("CPU", quantize=quantize, weight_cache=False)
        model = LanguageModel(path, config, runtime, prompts)
        return np.concatenate([model.prefill(0, ids, 0).asnumpy() for ids in others])

    exact = states("none")
    plain, calibrated = (np.square(states("int4", given) - exact).mean()
                         for given in ((), tuple(prompts)))
    assert calibrated < 0.7 * plain
    np.testing.assert_array_equal(states("int8", tuple(prompts)), states("int8"))
