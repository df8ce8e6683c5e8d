"""The layers of ECAPA-TDNN against float64."""

import functools

import numpy as np
import pytest
from mindspore import Tensor

from sparktts_ms.ops.convolution import to_conv_layout, to_frames
from sparktts_ms.ops.res2 import ConvReluNorm, NormedConv, SqueezeExcitation, res2_block
from tests.helpers import assert_close, random_normal

pytestmark = pytest.mark.both_forms
normal = functools.partial(random_normal, np.random.default_rng(5))


def run(cell, x):
    """A cell in convolution layout on frames."""
    return to_frames(cell(to_conv_layout(Tensor(x))))


def conv_relu_norm(x, weights, dilation=1):
    """[T, I] -> [T, O]."""
    kernel, bias, scale, shift = weights
    size = kernel.shape[2]
    reach = dilation * (size // 2)
    padded = np.pad(x.astype(np.float64), ((reach, reach), (0, 0)))
    y = np.tile(bias.astype(np.float64), (len(x), 1))
    for tap in range(size):
        y += padded[tap * dilation:tap * dilation + len(x)] @ kernel[:, :, tap].T
    return np.maximum(y, 0.0) * scale + shift


def normed_conv(channels, size):
    kernel = normal(channels, channels, size) / np.float32(np.sqrt(channels * size))
    return NormedConv(kernel, normal(channels), normal(channels), normal(channels))


def test_res2_block(form):
    x = normal(23, 32)
    first = normed_conv(32, 1)
    groups = [normed_conv(8, 3) for _ in range(3)]
    last = normed_conv(32, 1)
    inputs = np.split(conv_relu_norm(x, first), 4, axis=1)
    outputs = [conv_relu_norm(inputs[0], groups[0], 2)]
    for group, values in zip(groups[1:], inputs[1:], strict=False):
        outputs.append(conv_relu_norm(outputs[-1] + values, group, 2))
    expected = conv_relu_norm(np.concatenate([*outputs, inputs[3]], 1), last)
    block = res2_block(first, groups, last, dilation=2)
    assert_close(run(block, x), expected, 3e-6, scale=1.0)


@pytest.mark.parametrize("frames, inputs, outputs, size", [(1, 5, 3, 5), (50, 32, 40, 5)])
def test_conv_relu_norm(form, frames, inputs, outputs, size):
    x = normal(frames, inputs)
    kernel = normal(outputs, inputs, size) / np.float32(np.sqrt(inputs * size))
    weights = NormedConv(kernel, normal(outputs), normal(outputs), normal(outputs))
    assert_close(run(ConvReluNorm(weights), x), conv_relu_norm(x, weights), 3e-6, scale=1.0)


def test_squeeze_excitation(form):
    x, y = normal(2, 301, 24)
    squeeze, excite = normal(7, 24), normal(24, 7)
    squeeze_bias, excite_bias = normal(7), normal(24)
    hidden = np.maximum(squeeze.astype(np.float64) @ y.mean(0, dtype=np.float64) + squeeze_bias, 0)
    gate = 1 / (1 + np.exp(-(excite @ hidden + excite_bias)))
    cell = SqueezeExcitation(squeeze, squeeze_bias, excite, excite_bias)
    actual = to_frames(cell(to_conv_layout(Tensor(x)), to_conv_layout(Tensor(y))))
    assert_close(actual, x + y * gate, 3e-6, scale=1.0)
