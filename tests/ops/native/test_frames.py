"""Products of frames, which processors with AMX make of bfloat16 parts (native/bf16_parts.h)."""

import functools

import numpy as np
import pytest

from sparktts_ms.ops.convolution import conv7, residual_unit, upsample
from sparktts_ms.ops.native import library
from sparktts_ms.ops.residual_unit import SnakeConvWeights
from tests.helpers import assert_close, random_normal, run_cell
from tests.ops.native.test_library import LINEAR_SOURCES, call_kernel
from tests.ops.test_convolution import convolution, unit_output, unit_weights, upsampled

normal = functools.partial(random_normal, np.random.default_rng(5))


def linear(path, x, w, bias):
    arrays = [x, library.pack(w), bias]
    return call_kernel(path, "frames_linear_bias", arrays, ["float32"] * 3, (len(x), len(w)))


@pytest.mark.parametrize("inputs", [8, 100, 352, 4096])
@pytest.mark.parametrize("rows", [1, 17, 600])
def test_error_is_that_of_float32(kernels, rows, inputs):
    """For numbers of any size: beside float64 and the sizes of the products."""
    x = normal(rows, inputs) * np.exp(normal(rows, 1, scale=10))
    w = normal(70, inputs, scale=0.1)
    actual = linear(library.build(), x, w, np.zeros(70, np.float32))
    sizes = np.abs(x).astype(np.float64) @ np.abs(w).T
    error = np.abs(actual - x.astype(np.float64) @ w.T) / sizes
    assert error.max() < 2.0**-23 * np.sqrt(inputs)
    assert np.sqrt((error**2).mean()) < 2.0**-23


@pytest.mark.parametrize("first, last", [(0, 1), (5, 23), (31, 33), (40, 1500)])
def test_rows_do_not_depend_on_others(kernels, first, last):
    path = library.build()
    x = normal(1500, 96)
    w = normal(70, 96)
    bias = normal(70)
    whole = linear(path, x, w, bias)
    np.testing.assert_array_equal(linear(path, x[first:last], w, bias), whole[first:last])


@pytest.mark.parametrize("target", ["native", "-march=x86-64-v3"])
def test_same_result_without_tiles(kernels, monkeypatch, target):
    if library.platform.machine() != "x86_64":
        pytest.skip("no such processor here")
    monkeypatch.setattr(library, "SOURCES", LINEAR_SOURCES)
    x = normal(50, 128)
    w = normal(40, 128)
    bias = normal(40)
    path = library.build(*([] if target == "native" else [target]))
    assert_close(linear(path, x, w, bias), x.astype(np.float64) @ w.T + bias, 3e-6, scale=1.0)


@pytest.mark.parametrize("channels", [8, 40, 96])
@pytest.mark.parametrize("frames", [1, 50, 9000])
def test_residual_unit_with_tiles(kernels, frames, channels):
    weights = unit_weights(channels, 3)
    x = normal(frames, channels)
    unit = residual_unit(weights, tiles=True)
    assert_close(run_cell(unit, x), unit_output(x, weights), 2e-5, scale=1.0)


@pytest.mark.parametrize("stride, taps", [(8, 16), (5, 11), (2, 4)])
def test_upsampling_with_tiles(kernels, stride, taps):
    x = normal(90, 70)
    weights = SnakeConvWeights(normal(70, 35, taps) / 9, normal(35), np.exp(normal(70, scale=0.3)))
    cell = upsample(weights, stride, tiles=True)
    assert_close(run_cell(cell, x), upsampled(x, weights, stride), 2e-5, scale=1.0)


def test_conv7_with_tiles(kernels):
    x = normal(300, 70)
    w = normal(40, 70, 7)
    bias = normal(40)
    expected = convolution(x, w, bias, padding=3)
    assert_close(run_cell(conv7(w, bias, tiles=True), x), expected, 2e-5, scale=1.0)
