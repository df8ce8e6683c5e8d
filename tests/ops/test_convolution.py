"""Convolutions, with the CPU kernels and with MindSpore's operators, against float64."""

import functools

import numpy as np
import pytest
from mindspore import Tensor, nn

from sparktts_ms.ops.convolution import (
    FrameConv,
    PositionalConv,
    conv,
    conv7,
    residual_unit,
    to_conv_layout,
    to_frames,
    upsample,
    upsampling_stage,
)
from sparktts_ms.ops.residual_unit import ResidualUnitWeights, SnakeConvWeights
from tests.helpers import assert_close, gelu, random_normal, run_cell

pytestmark = pytest.mark.both_forms
normal = functools.partial(random_normal, np.random.default_rng(5))
close = functools.partial(assert_close, tolerance=3e-6, scale=1.0)


def run(cell, x):
    """A cell in convolution layout on frames."""
    return to_frames(cell(to_conv_layout(Tensor(x)))).asnumpy()


def snake(x, alpha):
    u = x.astype(np.float64) * alpha
    return u + np.sin(u) ** 2


def convolution(x, kernel, bias, stride=1, padding=0, dilation=1):
    """[T, I] and [O, I, K] -> [T', O], as a sum over the taps."""
    padded = np.pad(x.astype(np.float64), ((padding, padding), (0, 0)))
    taps = kernel.shape[2]
    frames = (len(padded) - dilation * (taps - 1) - 1) // stride + 1
    result = np.tile(bias.astype(np.float64), (frames, 1))
    for tap in range(taps):
        first = tap * dilation
        inputs = padded[first:first + stride * (frames - 1) + 1:stride]
        result += inputs @ kernel[:, :, tap].T.astype(np.float64)
    return result


@pytest.mark.parametrize("options", [
    {}, {"stride": 5}, {"padding": 3}, {"padding": 3, "stride": 2}])
@pytest.mark.parametrize("inputs, outputs", [(1, 40), (33, 5)])
def test_conv(form, options, inputs, outputs):
    x = normal(57, inputs)
    w = normal(outputs, inputs, 7)
    b = normal(outputs)
    alpha = np.exp(normal(inputs))
    close(run(conv(w, b, **options), x), convolution(x, w, b, **options))
    with_snake = convolution(snake(x, alpha), w, b, **options)
    close(run(conv(w, b, alpha=alpha, **options), x), with_snake, tolerance=1e-5)


def upsampled(x, weights, stride):
    """Snake and transposed convolution of [T, I] -> [stride T, O]."""
    kernel, bias, alpha = weights
    taps = kernel.shape[2]
    full = np.zeros((stride * (len(x) - 1) + taps, kernel.shape[1]))
    for t, row in enumerate(snake(x, alpha)):
        full[t * stride:t * stride + taps] += np.einsum("i,iok->ko", row, kernel)
    cut = (taps - stride) // 2
    return full[cut:cut + len(x) * stride] + bias


@pytest.mark.parametrize("stride, taps", [(8, 16), (5, 11), (4, 8), (2, 4), (2, 8), (3, 3)])
def test_upsample(form, stride, taps):
    x = normal(9, 6)
    weights = SnakeConvWeights(normal(6, 35, taps), normal(35), np.exp(normal(6)))
    close(run(upsample(weights, stride), x), upsampled(x, weights, stride), tolerance=1e-5)


@pytest.mark.parametrize("frames", [1, 4, 5, 36, 37, 300])
@pytest.mark.parametrize("channels", [8, 33])
def test_conv7(form, frames, channels):
    x = normal(frames, channels)
    w = normal(40, channels, 7)
    b = normal(40)
    close(run(conv7(w, b), x), convolution(x, w, b, padding=3), tolerance=2e-5)


def unit_weights(channels, dilation):
    alpha1, alpha2 = np.exp(normal(2, channels, scale=0.3))
    bias1, bias2 = normal(2, channels)
    return ResidualUnitWeights(
        SnakeConvWeights(normal(channels, channels, 7) / 9, bias1, alpha1),
        SnakeConvWeights(normal(channels, channels, 1) / 9, bias2, alpha2), dilation)


def unit_output(x, weights):
    conv1, conv2, dilation = weights
    hidden = convolution(snake(x, conv1.alpha), conv1.kernel, conv1.bias, padding=3 * dilation,
                         dilation=dilation)
    return x + convolution(snake(hidden, conv2.alpha), conv2.kernel, conv2.bias)


@pytest.mark.parametrize("dilation", [1, 3, 9])
@pytest.mark.parametrize("frames, channels", [(1, 8), (50, 8), (700, 8), (41, 33), (9000, 96)])
def test_residual_unit(form, dilation, frames, channels):
    x = normal(frames, channels)
    weights = unit_weights(channels, dilation)
    close(run(residual_unit(weights), x), unit_output(x, weights), tolerance=2e-5)


def test_upsampling_stage(form):
    """What enters and leaves a stage is not scaled, also where it is between the units."""
    x = normal(9, 6)
    up = SnakeConvWeights(normal(6, 8, 4), normal(8), np.exp(normal(6)))
    units = [unit_weights(8, dilation) for dilation in (1, 3)]
    expected = upsampled(x, up, 2)
    for unit in units:
        expected = unit_output(expected, unit)
    stage = nn.SequentialCell(upsampling_stage(up, 2, units))
    close(run(stage, x), expected, tolerance=2e-5)


@pytest.mark.parametrize("frames", [1, 2, 200])
def test_frame_conv(form, frames):
    x = normal(frames, 20)
    w = normal(20, 1, 7)
    b = normal(20)
    expected = [convolution(x[:, c:c + 1], w[c:c + 1], b[c:c + 1], padding=3) for c in range(20)]
    close(run_cell(FrameConv(w, b, groups=20), x, None), np.concatenate(expected, 1))
    w = normal(9, 20, 7)
    close(run_cell(FrameConv(w, b[:9]), x, None), convolution(x, w, b[:9], padding=3))


def test_positional_conv(form):
    x = normal(31, 12)
    w = normal(12, 4, 16)
    b = normal(12)
    groups = []
    for channels in (slice(0, 4), slice(4, 8), slice(8, 12)):
        groups.append(convolution(x[:, channels], w[channels], b[channels], padding=8)[:31])
    close(run_cell(PositionalConv(w, b, 3), x, None), x + gelu(np.concatenate(groups, 1)))
