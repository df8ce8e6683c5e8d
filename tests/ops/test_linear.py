"""Linear layers, with the CPU kernels and with MindSpore's operators, against float64."""

import functools

import numpy as np
import pytest
from mindspore import Tensor

from sparktts_ms.ops.linear import Linear, LogitsProjection, SwiGLU
from tests.helpers import assert_close, gelu, logit_ranges, random_normal, rms_norm, run_cell

pytestmark = pytest.mark.both_forms
normal = functools.partial(random_normal, np.random.default_rng(5))
close = functools.partial(assert_close, tolerance=3e-6, scale=1.0)


@pytest.mark.parametrize("rows", [1, 3, 11, 64])
@pytest.mark.parametrize("outputs, inputs", [(32, 64), (7, 5), (97, 130)])
def test_linear(form, rows, outputs, inputs):
    x = normal(rows, inputs)
    w = normal(outputs, inputs)
    b = normal(outputs)
    residual = normal(rows, outputs)
    expected = x.astype(np.float64) @ w.T + b
    close(run_cell(Linear(w, b), x), expected)
    close(run_cell(Linear(w, b), x, residual), residual + expected)
    close(run_cell(Linear(w, b, gelu=True), x), gelu(expected))
    close(run_cell(Linear(w, b, eps=1e-2), x), rms_norm(x, 1e-2) @ w.T + b)
    close(run_cell(Linear(w), x), expected - b)


def test_rms_norm_epsilon(form):
    x = np.stack([normal(96), normal(96, scale=1e-3), np.zeros(96, np.float32)])
    close(run_cell(Linear(np.eye(96, dtype=np.float32), eps=1e-6), x), rms_norm(x, 1e-6))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 20.0])
def test_gelu_is_exact(form, scale):
    extremes = np.float32([0, -0.0, 88, -88, 1e4, -1e4])
    x = np.concatenate([normal(777, scale=scale), extremes])[None]
    close(run_cell(Linear(np.eye(x.shape[1], dtype=np.float32), gelu=True), x), gelu(x))


@pytest.mark.parametrize("inner", [16, 30, 64])
def test_swiglu(form, inner):
    x = normal(3, 40, scale=9)
    gate = normal(inner, 40)
    up = normal(inner, 40)
    g = rms_norm(x, 1e-6) @ gate.T
    u = rms_norm(x, 1e-6) @ up.T
    close(run_cell(SwiGLU(gate, up, "float32", 1e-6), x), g / (1 + np.exp(-g)) * u)


def test_logits_outside_all_ranges_are_minus_infinity(form):
    x = normal(2, 24)
    w = normal(200, 24)
    ranges = np.int32([[40, 100], [70, 130]])
    projection = LogitsProjection(w, "float32", 1e-6)
    logits = projection(Tensor(x), logit_ranges(ranges)).asnumpy()
    expected = rms_norm(x, 1e-6) @ w.T
    for row, (first, last) in enumerate(ranges):
        close(logits[row, first:last], expected[row, first:last])
        assert np.isneginf(logits[row, :32]).all()
        assert np.isneginf(logits[row, 160:]).all()
    empty = np.zeros((2, 2), np.int32)
    assert np.isneginf(projection(Tensor(x), logit_ranges(empty)).asnumpy()).all()


@pytest.mark.parametrize("dtype", ["float32", "int8", "int4"])
def test_linear_is_batch_invariant(kernels, dtype):
    x = normal(64, 200)
    layer = Linear(normal(150, 200), normal(150), dtype, eps=1e-6)
    batch = run_cell(layer, x)
    for first, last in ((0, 1), (5, 7), (10, 23), (63, 64), (1, 7), (2, 9), (8, 24), (3, 64)):
        np.testing.assert_array_equal(run_cell(layer, x[first:last]), batch[first:last])
