"""Activations against float64."""

import numpy as np
import pytest
from mindspore import Tensor

from sparktts_ms.ops.activation import GELU, tanh
from tests.helpers import assert_close, gelu, random_normal, run_cell

pytestmark = pytest.mark.both_forms


@pytest.mark.parametrize("scale", [1e-3, 1.0, 20.0])
def test_gelu_is_exact(form, scale):
    extremes = np.float32([0, -0.0, 88, -88, 1e4, -1e4])
    values = random_normal(np.random.default_rng(5), 777, scale=scale)
    x = np.concatenate([values, extremes])[None]
    assert_close(run_cell(GELU(), x), gelu(x), 3e-6, scale=1.0)


def test_tanh_accuracy():
    x = np.linspace(-9, 9, 4001, dtype=np.float32)
    assert_close(tanh(Tensor(x)), np.tanh(x.astype(np.float64)), 4e-6, scale=1.0)
