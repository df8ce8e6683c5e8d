"""The Res2 block against float64."""

import functools

import numpy as np
import pytest
from mindspore import Tensor

from sparktts_ms.ops.planes import frames_to_plane, plane_to_frames
from sparktts_ms.ops.res2 import NormedConv, res2_block
from tests.helpers import assert_close, random_normal

pytestmark = pytest.mark.both_forms
normal = functools.partial(random_normal, np.random.default_rng(5))


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
    actual = plane_to_frames(block(frames_to_plane(Tensor(x))))
    assert_close(actual, expected, 3e-6, scale=1.0)
