"""LayerNorm and RMSNorm against float64."""

import functools

import numpy as np
import pytest

from sparktts_ms.ops.normalization import LayerNorm, RMSNorm
from tests.helpers import assert_close, gelu, random_normal, rms_norm, run_cell

pytestmark = pytest.mark.both_forms
normal = functools.partial(random_normal, np.random.default_rng(5))
close = functools.partial(assert_close, tolerance=5e-6, scale=1.0)


@pytest.mark.parametrize("activated", [False, True])
def test_layer_norm(form, activated):
    x = normal(13, 37, scale=3) + 5
    gain = normal(37)
    bias = normal(37)
    x64 = x.astype(np.float64)
    normalized = (x64 - x64.mean(1, keepdims=True)) / np.sqrt(x64.var(1, keepdims=True) + 1e-5)
    expected = normalized * gain + bias
    layer = LayerNorm(gain, bias, 1e-5, activated)
    close(run_cell(layer, x), gelu(expected) if activated else expected)
    if not activated:
        close(run_cell(LayerNorm(None, None, 1e-5), x, gain, bias), expected)


def test_rms_norm(form):
    x = normal(13, 37, scale=3)
    gain = normal(37)
    close(run_cell(RMSNorm(1e-6), x), rms_norm(x, 1e-6))
    close(run_cell(RMSNorm(1e-6), x, gain), rms_norm(x, 1e-6) * gain)
