"""Attention, with the CPU kernels, MindSpore's operators and Ascend's, against float64."""

import functools

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from sparktts_ms.ops.attention import CachedAttention
from sparktts_ms.ops.native import library
from sparktts_ms.ops.padding import padding_mask
from sparktts_ms.ops.parameter import weight
from sparktts_ms.ops.rotary import rotary_tables
from sparktts_ms.ops.self_attention import SelfAttention, attention_mask
from tests.helpers import assert_close, random_normal, run_cell

normal = functools.partial(random_normal, np.random.default_rng(5))
close = functools.partial(assert_close, tolerance=3e-6, scale=1.0)


def causal_attention(qkv, heads, kv_heads, dim, theta=1e6):
    """Grouped-query attention of a sequence [T, (heads + 2 kv_heads) dim], rotary, in float64."""
    rows = qkv.astype(np.float64).reshape(len(qkv), -1, dim)
    angles = np.outer(np.arange(len(qkv)), theta ** (-np.arange(0, dim, 2) / dim))[:, None]

    def rotate(x):          # complex pairs (i, i + dim / 2)
        pairs = (x[..., :dim // 2] + 1j * x[..., dim // 2:]) * np.exp(1j * angles)
        return np.concatenate([pairs.real, pairs.imag], -1)

    query = rotate(rows[:, :heads])
    key = rotate(rows[:, heads:heads + kv_heads])
    value = rows[:, heads + kv_heads:]
    out = np.zeros_like(query)
    for h in range(heads):
        g = h // (heads // kv_heads)
        for t in range(len(qkv)):
            weights = np.exp(key[:t + 1, g] @ query[t, h])
            out[t, h] = weights / weights.sum() @ value[:t + 1, g]
    return out.reshape(len(qkv), -1)


def cached_attention(heads, kv_heads, dim, max_length, slots=3, dtype=ms.float32):
    cos, sin = map(weight, rotary_tables(max_length, dim, 1e6))
    return CachedAttention(heads, kv_heads, slots, cos, sin, dtype)


def attend(attention, qkv, positions, slots):
    return run_cell(attention, np.ascontiguousarray(qkv), np.int32(positions), np.int32(slots))


@pytest.mark.both_forms
@pytest.mark.parametrize("frames", [1, 31, 77])
def test_self_attention(form, frames):
    qkv = normal(frames, 3 * 2 * 32, scale=0.6)
    query, key, value = qkv.astype(np.float64).reshape(frames, 3, 2, 32).transpose(1, 2, 0, 3)
    weights = np.exp(query @ key.transpose(0, 2, 1))
    output = weights / weights.sum(-1, keepdims=True) @ value
    expected = output.transpose(1, 0, 2).reshape(frames, -1)
    attention = SelfAttention(2, 32)
    close(run_cell(attention, qkv, None), expected)
    padded = np.concatenate([qkv, normal(3, qkv.shape[1])])
    mask = attention_mask(Tensor(padding_mask(frames, frames + 3)))
    close(attention(Tensor(padded), mask).asnumpy()[:frames], expected)


@pytest.mark.both_forms
@pytest.mark.parametrize("heads, kv_heads, dim", [(6, 2, 16), (14, 2, 64), (3, 3, 32)])
def test_cached_attention(form, heads, kv_heads, dim):
    """Two prompts prefilled in chunks, then decode steps as a batch with a padding row."""
    attention = cached_attention(heads, kv_heads, dim, 128)
    rows = [normal(length, (heads + 2 * kv_heads) * dim, scale=0.5) for length in (70, 33)]
    expected = [causal_attention(r, heads, kv_heads, dim) for r in rows]
    for slot, (r, e) in enumerate(zip(rows, expected, strict=True)):
        close(attend(attention, r[:20], range(20), [slot + 1]), e[:20])
    padded = np.concatenate([rows[0][20:30], normal(3, rows[0].shape[1])])
    output = attend(attention, padded, [*range(20, 30), -1, -1, -1], [1])
    close(output[:10], expected[0][20:30])
    for t in range(30, 70):
        second = min(t - 10, 32)
        batch = np.stack([rows[0][t], rows[1][second], rows[0][0]])
        output = attend(attention, batch, [t, second, -1], [1, 2, 3])
        close(output[:2], np.stack([expected[0][t], expected[1][second]]))


@pytest.fixture(params=["native", "-march=x86-64-v3", "-march=x86-64-v2"])
def target(request, kernels, monkeypatch):
    """The attention of other processors too: with AVX2; SSE."""
    if request.param != "native":
        if library.platform.machine() != "x86_64":
            pytest.skip("no such processor here")
        monkeypatch.setattr(library, "SOURCES", (library.FOLDER / "attention.cc",))
        monkeypatch.setattr(library, "_path", library.build(request.param))


def test_float16_cache(target):
    """A prompt, then steps, over keys and values of half the bytes: the error of their rounding."""
    attention = cached_attention(14, 2, 64, 128, dtype=ms.float16)
    assert attention.keys.nbytes == attention.keys.size * 2
    rows = normal(70, (14 + 4) * 64, scale=0.5)
    expected = causal_attention(rows, 14, 2, 64)
    output = [attend(attention, rows[:65], range(65), [1])]
    output += [attend(attention, rows[t:t + 1], [t], [1]) for t in range(65, 70)]
    assert_close(np.concatenate(output), expected, tolerance=1e-3, scale=1.0)


def test_float16_cache_rounds_to_the_nearest(target):
    """Numbers of all magnitudes; those beyond the largest float16 become that."""
    attention = cached_attention(2, 1, 64, 32, slots=1, dtype=ms.float16)
    rows = normal(32, 4 * 64)
    rows[:, 3 * 64:] *= np.float32(2) ** np.arange(-27, 37, 2)[:, None]      # values
    output = attend(attention, rows, range(32), [0])
    expected = np.clip(rows[:, 3 * 64:], -65504, 65504).astype(np.float16)
    np.testing.assert_array_equal(attention.values.asnumpy()[:32], expected)
    np.testing.assert_array_equal(output[0].reshape(2, 64), np.float32(expected[[0, 0]]))


@pytest.mark.parametrize("dtype", [ms.float32, ms.float16])
def test_rows_that_are_attended_together_are_as_by_themselves(kernels, dtype):
    """Bit for bit: parts of three sequences in one call, some with more rows than a task has."""
    qkv = normal(90, (14 + 4) * 64, scale=0.5)
    parts = [(0, 0, 40), (2, 0, 3), (1, 0, 33), (0, 40, 42), (2, 3, 15)]    # slot, positions
    positions = [position for _, first, last in parts for position in range(first, last)]
    slots = [slot for slot, first, last in parts for _ in range(first, last)]
    together = attend(cached_attention(14, 2, 64, 128, dtype=dtype), qkv, positions, slots)
    attention = cached_attention(14, 2, 64, 128, dtype=dtype)
    for row, (position, slot) in enumerate(zip(positions, slots, strict=True)):
        alone = attend(attention, qkv[row:row + 1], [position], [slot])
        np.testing.assert_array_equal(together[row:row + 1], alone)


def test_cached_attention_checks_its_indices(kernels):
    attention = cached_attention(2, 1, 16, 64, slots=1)
    for position, slot in ((64, 0), (0, 2), (0, -1)):
        with pytest.raises(RuntimeError):
            attend(attention, normal(1, 64), [position], [slot])
