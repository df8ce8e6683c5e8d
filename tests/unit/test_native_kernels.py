"""The CPU kernels agree with what they stand for (computed in float64), and their absence changes nothing but speed."""

import numpy as np
import pytest
from mindspore import Tensor
from scipy.special import erf

from sparktts_ms.config import Qwen2Config
from sparktts_ms.ops.activation import GELU, Snake, SwiGLU, tanh
from sparktts_ms.ops.masking import Kept
from sparktts_ms.ops.native import library
from sparktts_ms.ops.normalization import ChannelNormGELU, RMSNorm
from sparktts_ms.qwen2.cache import Cache
from sparktts_ms.runtime import Runtime

RANDOM = np.random.default_rng(5)


def normal(*shape, scale=1.0):
    return (scale * RANDOM.standard_normal(shape)).astype(np.float32)


@pytest.fixture(params=["native", "plain"])
def form(request):
    """Both forms of every operator; afterwards the library is as it was."""
    before = library._library
    Runtime.start("CPU")
    if request.param == "plain":
        library.disable()
    elif library._library is None:
        pytest.skip("no C++ compiler here")
    yield request.param
    library._library = before


def run(cell, *arrays):
    return cell(*(Tensor(array) for array in arrays)).asnumpy()


def close(actual, expected, tolerance=2e-6):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * max(1.0, np.abs(expected).max())


def gelu(x):
    x = x.astype(np.float64)
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


@pytest.mark.parametrize("scale", [1e-4, 1.0, 30.0, 1000.0])
def test_snake(form, scale):
    x, frequency = normal(1, 5, 1, 333, scale=scale), np.exp(normal(5))
    u = (x * frequency[:, None, None]).astype(np.float64)
    close(run(Snake(frequency), x), u + np.sin(u) ** 2)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 20.0])
def test_gelu_is_the_exact_form(form, scale):
    x = np.concatenate([normal(777, scale=scale), np.float32([0, -0.0, 88, -88, 1e4, -1e4])])
    close(run(GELU(), x), gelu(x))


def test_channel_norm_gelu(form):
    x, gain, bias = normal(1, 37, 1, 130, scale=3) + 5, normal(37), normal(37)
    rows = x.astype(np.float64)
    normal_rows = (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + 1e-5)
    expected = gelu(normal_rows * gain[:, None, None] + bias[:, None, None])
    close(run(ChannelNormGELU(37, gain, bias, 1e-5), x), expected, 5e-6)


def test_rms_norm_keeps_its_epsilon(form):
    x = np.stack([normal(96), normal(96, scale=1e-3), np.zeros(96, np.float32)])
    wide = x.astype(np.float64)
    close(run(RMSNorm(1e-6), x), wide / np.sqrt((wide**2).mean(1, keepdims=True) + 1e-6))


def test_swiglu(form):
    x = np.concatenate([normal(3, 64, scale=4), np.float32([[100.0, -100.0] * 32])])
    gate, up = np.split(x.astype(np.float64), 2, axis=1)
    close(run(SwiGLU(), x), gate / (1 + np.exp(-gate)) * up)


def test_kept_is_zero_where_nothing_is_kept(form):
    x, y, keep = normal(1, 3, 1, 50), normal(1, 3, 1, 50), (np.arange(50) < 20).astype(np.float32)[:, None]
    cell = Kept()
    close(run(cell, x, keep), x * keep[:, 0])
    close(cell.sum(Tensor(x), Tensor(y), Tensor(keep)).asnumpy(), (x + y) * keep[:, 0])


def test_tanh_is_better_than_the_backends():
    Runtime.start("CPU")
    x = np.linspace(-9, 9, 4001, dtype=np.float32)
    close(tanh(Tensor(x)).asnumpy(), np.tanh(x.astype(np.float64)), 4e-6)


def attention_reference(config, queries, keys, values):
    """Causal grouped-query attention of the last position, rotary in the half-split convention, in float64."""
    positions, dim = len(keys), config.head_dim
    angle = np.outer(np.arange(positions), config.rope_theta ** (-np.arange(0, dim, 2) / dim))

    def turned(x, a):       # x [..., heads, dim] as complex pairs (i, i + dim / 2)
        pairs = (x[..., : dim // 2] + 1j * x[..., dim // 2:]) * np.exp(1j * a)
        return np.concatenate([pairs.real, pairs.imag], -1)

    query, keys = turned(queries[-1], angle[-1]), turned(keys, angle[:, None])
    per_group = config.num_attention_heads // config.num_key_value_heads
    out = []
    for head in range(config.num_attention_heads):
        scores = keys[:, head // per_group] @ query[head]
        share = np.exp(scores - scores.max())
        out.append(share / share.sum() @ values[:, head // per_group])
    return np.concatenate(out)


@pytest.mark.parametrize("positions", [1, 2, 65, 300])
def test_attention_over_the_cache_position_by_position(positions):
    """The kernel against the definition, and the keys and values it leaves against MindSpore's own scatter."""
    Runtime.start("CPU")
    config = Qwen2Config(96, 10, 1, 6, 2, 10, 0, 4096, rope_theta=1e6)
    rows = normal(positions, (6 + 2 * 2) * 16)
    queries, keys, values = np.split(rows.astype(np.float64).reshape(positions, 10, 16), [6, 8], axis=1)
    cache = Cache(320, config, Tensor(rows).dtype)
    layer = cache.layers[0]
    turns, places, barred = cache.place(Tensor(np.arange(positions, dtype=np.int32)))
    plain = layer(Tensor(rows), turns, places, barred).asnumpy()[-1]
    close(plain, attention_reference(config, queries, keys, values), 5e-6)
    if cache.fused is None:
        pytest.skip("no C++ compiler here")
    written = [layer.keys.asnumpy().copy(), layer.values.asnumpy().copy()]
    fresh = Cache(320, config, Tensor(rows).dtype)
    store = fresh.layers[0]
    for position in range(positions):
        seen = fresh.fused(Tensor(rows[position:position + 1]), fresh.cos, fresh.sin, store.keys, store.values,
                           Tensor(np.array([position], np.int32))).asnumpy()
    close(seen[0], attention_reference(config, queries, keys, values), 5e-6)
    for mine, theirs in zip((store.keys, store.values), written, strict=True):
        np.testing.assert_allclose(mine.asnumpy(), theirs, atol=2e-6)


def test_without_a_compiler_the_plain_operators_serve(monkeypatch, caplog, tmp_path):
    before = library._library
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        library.enable()
        assert library.kernel("snake", None, None) is None
        assert "plain operators" in caplog.text
        assert not list(tmp_path.rglob("*.so"))
    finally:
        library._library = before
