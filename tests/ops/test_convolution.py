"""Convolutions, with the CPU kernels and with MindSpore's operators, against float64."""

import functools

import numpy as np
import pytest
from mindspore import Tensor

from sparktts_ms.ops.convolution import (
    FrameConv,
    PositionalConv,
    SnakeConvWeights,
    conv,
    conv7,
    residual_unit,
    to_conv_layout,
    to_frames,
    upsample,
)
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


@pytest.mark.parametrize("stride, taps", [(8, 16), (5, 11), (4, 8), (2, 4), (2, 8), (3, 3)])
def test_upsample(form, stride, taps):
    x = normal(9, 6)
    w = normal(6, 35, taps)
    b = normal(35)
    alpha = np.exp(normal(6))
    full = np.zeros((stride * 8 + taps, 35))
    for t, row in enumerate(snake(x, alpha)):
        full[t * stride:t * stride + taps] += np.einsum("i,iok->ko", row, w)
    cut = (taps - stride) // 2
    actual = run(upsample(SnakeConvWeights(w, b, alpha), stride), x)
    close(actual, full[cut:cut + 9 * stride] + b, tolerance=1e-5)


@pytest.mark.parametrize("frames", [1, 4, 5, 36, 37, 300])
@pytest.mark.parametrize("channels", [8, 33])
def test_conv7(form, frames, channels):
    x = normal(frames, channels)
    w = normal(40, channels, 7)
    b = normal(40)
    close(run(conv7(w, b), x), convolution(x, w, b, padding=3), tolerance=2e-5)


@pytest.mark.parametrize("dilation", [1, 3, 9])
@pytest.mark.parametrize("frames, channels", [(1, 8), (50, 8), (700, 8), (41, 33), (9000, 96)])
def test_residual_unit(form, dilation, frames, channels):
    x = normal(frames, channels)
    kernel1 = normal(channels, channels, 7) / 9
    kernel2 = normal(channels, channels, 1) / 9
    bias1, bias2 = normal(2, channels)
    alpha1, alpha2 = np.exp(normal(2, channels, scale=0.3))
    hidden = convolution(snake(x, alpha1), kernel1, bias1, padding=3 * dilation, dilation=dilation)
    expected = x + convolution(snake(hidden, alpha2), kernel2, bias2)
    unit = residual_unit(SnakeConvWeights(kernel1, bias1, alpha1),
                         SnakeConvWeights(kernel2, bias2, alpha2), dilation)
    close(run(unit, x), expected, tolerance=2e-5)


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
