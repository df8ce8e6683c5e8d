"""Both forms of every operator, CPU kernels and MindSpore's own, agree with what they stand for (computed in float64)."""

import ctypes

import numpy as np
import pytest
from mindspore import Tensor
from scipy.special import erf

from sparktts_ms.ops import toom_cook
from sparktts_ms.ops.activation import GELU, tanh
from sparktts_ms.ops.attention import CachedAttention, SelfAttention
from sparktts_ms.ops.convolution import (
    Conv,
    Conv7,
    FrameConv,
    PositionalConv,
    ResidualUnit,
    SnakeConvWeights,
    Upsample,
    to_conv_layout,
    to_frames,
)
from sparktts_ms.ops.linear import Linear, LogitsProjection, SwiGLU
from sparktts_ms.ops.native import library
from sparktts_ms.ops.normalization import LayerNorm
from sparktts_ms.ops.parameter import weight
from sparktts_ms.ops.rotary import rotary_tables
from sparktts_ms.runtime import Runtime

pytestmark = pytest.mark.both_forms
RANDOM = np.random.default_rng(5)


def normal(*shape, scale=1.0):
    return (scale * RANDOM.standard_normal(shape)).astype(np.float32)


def run(cell, *arrays):
    return cell(*(None if array is None else Tensor(array) for array in arrays)).asnumpy()


def close(actual, expected, tolerance=3e-6):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * max(1.0, np.abs(expected).max())


def gelu(x):
    x = x.astype(np.float64)
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def rms(x, eps):
    x = x.astype(np.float64)
    return x / np.sqrt((x**2).mean(1, keepdims=True) + eps)


def snake(x, alpha):
    u = x.astype(np.float64) * alpha
    return u + np.sin(u) ** 2


def convolution(x, kernel, bias, stride=1, padding=0, dilation=1):
    """[T, I] and [O, I, K] -> [T', O], written as the sum it is."""
    padded = np.pad(x.astype(np.float64), ((padding, padding), (0, 0)))
    taps = kernel.shape[2]
    frames = (len(padded) - dilation * (taps - 1) - 1) // stride + 1
    return bias + sum(padded[k * dilation:k * dilation + stride * (frames - 1) + 1:stride] @ kernel[:, :, k].T.astype(np.float64)
                      for k in range(taps))


@pytest.mark.parametrize("rows", [1, 3, 11, 64])
@pytest.mark.parametrize("outputs, inputs", [(32, 64), (7, 5), (97, 130)])
def test_linear_layers(form, rows, outputs, inputs):
    x, w, b, residual = normal(rows, inputs), normal(outputs, inputs), normal(outputs), normal(rows, outputs)
    expected = x.astype(np.float64) @ w.T + b
    close(run(Linear(w, b), x), expected)
    close(run(Linear(w, b), x, residual), residual + expected)
    close(run(Linear(w, b, gelu=True), x), gelu(expected))
    close(run(Linear(w, b, eps=1e-2), x), rms(x, 1e-2) @ w.T + b)
    close(run(Linear(w), x), expected - b)


def test_rms_norm_keeps_its_epsilon(form):
    x = np.stack([normal(96), normal(96, scale=1e-3), np.zeros(96, np.float32)])
    close(run(Linear(np.eye(96, dtype=np.float32), eps=1e-6), x), rms(x, 1e-6))


@pytest.mark.parametrize("inner", [16, 30, 64])
def test_swiglu(form, inner):
    x, gate, up = normal(3, 40, scale=9), normal(inner, 40), normal(inner, 40)
    g, u = rms(x, 1e-6) @ gate.T, rms(x, 1e-6) @ up.T
    close(run(SwiGLU(gate, up, "float32", 1e-6), x), g / (1 + np.exp(-g)) * u)


def test_only_logits_that_may_come_are_finite(form):
    x, w = normal(2, 24), normal(200, 24)
    ranges = np.int32([[40, 100], [70, 130]])
    logits, expected = run(LogitsProjection(w, "float32", 1e-6), x, ranges), rms(x, 1e-6) @ w.T
    for row, (first, last) in enumerate(ranges):
        close(logits[row, first:last], expected[row, first:last])
        assert np.isneginf(logits[row, :32]).all() and np.isneginf(logits[row, 160:]).all()
    assert np.isneginf(run(LogitsProjection(w, "float32", 1e-6), x, np.zeros((2, 2), np.int32))).all()


@pytest.mark.parametrize("options", [{}, {"stride": 5}, {"padding": 9, "dilation": 3}, {"padding": 3, "stride": 2}])
@pytest.mark.parametrize("inputs, outputs", [(1, 40), (33, 5)])
def test_convolution(form, options, inputs, outputs):
    x, w, b, f = normal(57, inputs), normal(outputs, inputs, 7), normal(outputs), np.exp(normal(inputs))

    def actual(cell, *more):
        return to_frames(cell(to_conv_layout(Tensor(x)), *more)).asnumpy()

    expected = convolution(x, w, b, **options)
    close(actual(Conv(w, b, **options)), expected)
    close(actual(Conv(w, b, alpha=f, **options)), convolution(snake(x, f), w, b, **options), 1e-5)
    residual = normal(*expected.shape)
    close(actual(Conv(w, b, **options), to_conv_layout(Tensor(residual))), expected + residual)


@pytest.mark.parametrize("stride, taps", [(8, 16), (5, 11), (4, 8), (2, 4), (2, 8), (3, 3)])
def test_upsampling(form, stride, taps):
    x, w, b, f = normal(9, 6), normal(6, 35, taps), normal(35), np.exp(normal(6))
    whole = np.zeros((stride * 8 + taps, 35))
    for t, row in enumerate(snake(x, f)):
        whole[t * stride:t * stride + taps] += np.einsum("i,iok->ko", row, w)
    cut = (taps - stride) // 2
    close(to_frames(Upsample(SnakeConvWeights(w, b, f), stride)(to_conv_layout(Tensor(x)))).asnumpy(), whole[cut:cut + 9 * stride] + b, 1e-5)


def test_toom_cook_is_exact_in_exact_numbers():
    filters, inputs = RANDOM.standard_normal(7), RANDOM.standard_normal(10)
    outputs = toom_cook.TO_OUTPUTS @ ((toom_cook.TO_FILTERS @ filters) * (toom_cook.TO_INPUTS @ inputs))
    np.testing.assert_allclose(outputs, [filters @ inputs[q:q + 7] for q in range(4)], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("frames", [1, 4, 5, 36, 37, 300])
@pytest.mark.parametrize("channels", [8, 33])
def test_seven_taps(form, frames, channels):
    x, w, b = normal(frames, channels), normal(40, channels, 7), normal(40)
    actual = to_frames(Conv7(w, b)(to_conv_layout(Tensor(x)))).asnumpy()
    close(actual, convolution(x, w, b, padding=3), 2e-5)


@pytest.mark.parametrize("dilation", [1, 3, 9])
@pytest.mark.parametrize("frames, channels", [(1, 8), (50, 8), (700, 8), (41, 33), (9000, 96)])
def test_residual_unit(form, dilation, frames, channels):
    x, wide, narrow = normal(frames, channels), normal(channels, channels, 7) / 9, normal(channels, channels, 1) / 9
    biases, (f, g) = normal(2, channels), np.exp(normal(2, channels, scale=0.3))
    hidden = convolution(snake(x, f), wide, biases[0], padding=3 * dilation, dilation=dilation)
    expected = x + convolution(snake(hidden, g), narrow, biases[1])
    unit = ResidualUnit(SnakeConvWeights(wide, biases[0], f), SnakeConvWeights(narrow, biases[1], g), dilation)
    close(to_frames(unit(to_conv_layout(Tensor(x)))).asnumpy(), expected, 2e-5)


@pytest.mark.parametrize("frames", [1, 2, 200])
def test_depthwise_convolution_and_its_edges(form, frames):
    x, w, b = normal(frames, 20), normal(20, 1, 7), normal(20)
    close(run(FrameConv(w, b, groups=20), x, None), np.concatenate(
        [convolution(x[:, c:c + 1], w[c:c + 1], b[c:c + 1], padding=3) for c in range(20)], 1))
    w = normal(9, 20, 7)
    close(run(FrameConv(w, b[:9]), x, None), convolution(x, w, b[:9], padding=3))


def test_grouped_convolution_for_positions(form):
    x, w, b = normal(31, 12), normal(12, 4, 16), normal(12)
    parts = [convolution(x[:, 4 * g:4 * g + 4], w[4 * g:4 * g + 4], b[4 * g:4 * g + 4], padding=8)[:31] for g in range(3)]
    close(run(PositionalConv(w, b, 3), x, None), x + gelu(np.concatenate(parts, 1)))


@pytest.mark.parametrize("activated", [False, True])
def test_layer_norm(form, activated):
    x, gain, bias = normal(13, 37, scale=3) + 5, normal(37), normal(37)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5) * gain + bias
    close(run(LayerNorm(gain, bias, 1e-5, activated), x), gelu(expected) if activated else expected, 5e-6)
    if not activated:
        close(run(LayerNorm(None, None, 1e-5), x, gain, bias), expected, 5e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 20.0])
def test_gelu_is_the_exact_form(form, scale):
    x = np.concatenate([normal(777, scale=scale), np.float32([0, -0.0, 88, -88, 1e4, -1e4])])[None]
    close(run(GELU(), x), gelu(x))
    close(run(Linear(np.eye(x.shape[1], dtype=np.float32), gelu=True), x), gelu(x))


def test_tanh_is_better_than_the_backends():
    x = np.linspace(-9, 9, 4001, dtype=np.float32)
    close(tanh(Tensor(x)).asnumpy(), np.tanh(x.astype(np.float64)), 4e-6)


@pytest.mark.parametrize("frames", [1, 31, 77])
def test_self_attention(form, frames):
    qkv = normal(frames, 3 * 2 * 32, scale=0.6)
    query, key, value = qkv.astype(np.float64).reshape(frames, 3, 2, 32).transpose(1, 2, 0, 3)
    share = np.exp(query @ key.transpose(0, 2, 1))
    expected = (share / share.sum(-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(frames, -1)
    close(run(SelfAttention(2, 32), qkv, None), expected)


def causal_attention(qkv, heads, groups, dim, theta=1e6):
    """Grouped-query attention of every position of a sequence [T, (heads + 2 groups) dim], rotary, in float64."""
    rows = qkv.astype(np.float64).reshape(len(qkv), -1, dim)
    angle = np.outer(np.arange(len(qkv)), theta ** (-np.arange(0, dim, 2) / dim))[:, None]

    def turned(x):          # complex pairs (i, i + dim / 2)
        pairs = (x[..., :dim // 2] + 1j * x[..., dim // 2:]) * np.exp(1j * angle)
        return np.concatenate([pairs.real, pairs.imag], -1)

    query, key, value = turned(rows[:, :heads]), turned(rows[:, heads:heads + groups]), rows[:, heads + groups:]
    out = np.zeros_like(query)
    for h in range(heads):
        for t in range(len(qkv)):
            share = np.exp(key[:t + 1, h // (heads // groups)] @ query[t, h])
            out[t, h] = share / share.sum() @ value[:t + 1, h // (heads // groups)]
    return out.reshape(len(qkv), -1)


@pytest.mark.parametrize("heads, groups, dim", [(6, 2, 16), (14, 2, 64), (3, 3, 32)])
def test_attention_of_many_sequences_at_once(form, heads, groups, dim):
    """Two prompts read in chunks, then steps in company, with a row that is none."""
    capacity, lengths = 128, (70, 33)
    cos, sin = (weight(table) for table in rotary_tables(capacity, dim, 1e6))
    attention = CachedAttention(heads, groups, 3, cos, sin, Tensor(np.float32(0)).dtype)
    rows = [normal(length, (heads + 2 * groups) * dim, scale=0.5) for length in lengths]
    expected = [causal_attention(r, heads, groups, dim) for r in rows]

    def attend(qkv, positions, slots):
        return run(attention, np.ascontiguousarray(qkv), np.int32(positions), np.int32(slots))

    for slot, (r, e) in enumerate(zip(rows, expected, strict=True)):
        close(attend(r[:20], range(20), [slot + 1]), e[:20])
    padded = np.concatenate([rows[0][20:30], normal(3, rows[0].shape[1])])
    close(attend(padded, [*range(20, 30), -1, -1, -1], [1])[:10], expected[0][20:30])
    for t in range(30, 70):
        company = [rows[0][t], rows[1][min(t - 10, 32)], rows[0][0]]
        seen = attend(np.stack(company), [t, min(t - 10, 32), -1], [1, 2, 3])
        close(seen[:2], np.stack([expected[0][t], expected[1][min(t - 10, 32)]]))


def plain_int8(x, w, block=64):
    """What 8-bit weights and activations mean: steps of a block's largest value / 127, weight scales rounded up to bfloat16."""
    def padded(a):
        return np.pad(a.astype(np.float64), ((0, 0), (0, -a.shape[1] % block))).reshape(len(a), -1, block)

    xb, wb = padded(x), padded(w)
    x_top = np.abs(xb).max(-1, keepdims=True)
    x_steps = np.rint(xb * np.where(x_top > 0, 127 / np.maximum(x_top, 1e-30), 0))
    scale = (np.abs(wb).max(-1, keepdims=True).astype(np.float32) / np.float32(127)).astype(np.float32)
    scale = ((scale.view(np.uint32) + 0xFFFF) & 0xFFFF0000).view(np.float32)
    w_steps = np.rint(wb / np.where(scale > 0, scale, 1))
    return np.einsum("tbk,obk,tb,ob->to", x_steps, w_steps, x_top[..., 0] / 127, scale[..., 0])


def direct(path, name, arrays, dtypes, shape):
    """Call a kernel of the library at `path` as MindSpore does."""
    out = np.zeros(shape, np.float32)
    tensors = [np.ascontiguousarray(a) for a in arrays] + [out]
    shapes = [(ctypes.c_int64 * t.ndim)(*t.shape) for t in tensors]
    code = getattr(ctypes.CDLL(str(path)), name)(
        len(tensors), (ctypes.c_void_p * len(tensors))(*(t.ctypes.data for t in tensors)),
        (ctypes.c_int * len(tensors))(*(t.ndim for t in tensors)),
        (ctypes.c_void_p * len(tensors))(*(ctypes.addressof(s) for s in shapes)),
        (ctypes.c_char_p * len(tensors))(*(d.encode() for d in dtypes), b"float32"), None, None)
    assert code == 0
    return out


TARGETS = ["native", "-march=x86-64-v3", "-march=x86-64-v2"]       # AVX-512 with VNNI here; AVX2; neither


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rows", [1, 2, 7, 20])
@pytest.mark.parametrize("outputs, inputs", [(64, 128), (33, 70)])
def test_int8_products_on_each_kind_of_processor(kernels, target, rows, outputs, inputs):
    path = library.build(*([] if target == "native" else [target]))
    if path is None or (target != "native" and library.platform.machine() != "x86_64"):
        pytest.skip("no C++ compiler for this target here")
    x, w, bias = normal(rows, inputs), normal(outputs, inputs, scale=0.1), normal(outputs)
    x[0, :min(64, inputs)] = 0                          # a block of nothing
    w[0] *= 100                                         # one large row costs the others nothing
    packed = library.pack(w, int8=True)
    actual = direct(path, "linear_bias", [x, packed, bias], ["float32", "uint8", "float32"], (rows, outputs))
    close(actual, plain_int8(x, w) + bias, 1e-5)
    exact = x.astype(np.float64) @ w.T + bias
    assert np.sqrt(((actual - exact)[:, 1:] ** 2).mean()) < 0.012 * np.sqrt((exact[:, 1:] ** 2).mean())
    float_rows = direct(path, "linear_bias", [x, library.pack(w), bias], ["float32"] * 3, (rows, outputs))
    close(float_rows, exact)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_row_is_the_same_alone_and_in_company(kernels, dtype):
    x, layer = normal(64, 200), Linear(normal(150, 200), normal(150), dtype, eps=1e-6)
    together = run(layer, x)
    for first, last in ((0, 1), (5, 7), (10, 23), (63, 64)):
        np.testing.assert_array_equal(run(layer, x[first:last]), together[first:last])


def test_kernels_refuse_what_would_read_elsewhere(kernels):
    cos, sin = (weight(table) for table in rotary_tables(64, 16, 1e6))
    attention = CachedAttention(2, 1, 1, cos, sin, Tensor(np.float32(0)).dtype)
    for position, slot in ((64, 0), (0, 2), (0, -1)):
        with pytest.raises(RuntimeError):
            run(attention, normal(1, 64), np.int32([position]), np.int32([slot]))


def test_without_a_compiler_the_plain_operators_serve(kernels, monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        runtime = Runtime.start("CPU", quantize="int8")
        assert library.custom_op("conv") is None and runtime.llm_dtype == "float32"
        assert "MindSpore's operators" in caplog.text and "float32 is used" in caplog.text
        assert not list(tmp_path.rglob("*.so"))
    finally:
        monkeypatch.undo()
        Runtime.start("CPU")
