"""Weights arrive whole or not at all."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from sparktts_ms.errors import WeightsError
from sparktts_ms.weights.checkpoint import Checkpoint, fuse_batch_norm, fuse_weight_norm

ARRAYS = {"net.a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "net.b": np.float16([1.5]),
          "steps": np.int64([3])}


@pytest.fixture
def source(tmp_path):
    save_file(ARRAYS, tmp_path / "w.safetensors")
    return Checkpoint(tmp_path / "w.safetensors")


def test_each_tensor_finds_one_home_as_float32(source):
    np.testing.assert_array_equal(source.at("net").at("a").take("weight", 2, 3), ARRAYS["net.a.weight"])
    half = source.at("net").take("b", 1)
    assert half.dtype == np.float32 and half[0] == 1.5
    source.finish((r"steps",))


def test_a_mapped_tensor_is_the_same(source):
    np.testing.assert_array_equal(source.take_view("net.a.weight", 2, 3), ARRAYS["net.a.weight"])


@pytest.mark.parametrize("name, shape, words", [
    ("net.c", (1,), ["lacks", "net.c"]), ("net.a.weight", (3, 2), ["net.a.weight", "2, 3", "3, 2"]),
    ("steps", (1,), ["steps", "no float"])])
def test_what_does_not_fit_is_named(source, name, shape, words):
    with pytest.raises(WeightsError) as error:
        source.take(name, *shape)
    assert all(word in str(error.value) for word in [*words, "w.safetensors"])


def test_what_is_left_over_is_named(source):
    source.take("net.b", 1)
    with pytest.raises(WeightsError, match=r"net\.a\.weight"):
        source.finish((r"steps",))


def test_a_tensor_has_no_second_home(source):
    source.take("net.b", 1)
    with pytest.raises(AssertionError):
        source.take("net.b", 1)


def test_a_newer_name_is_the_older_ones(tmp_path):
    save_file({"p.original0": np.ones(1, np.float32)}, tmp_path / "w.safetensors")
    source = Checkpoint(tmp_path / "w.safetensors", renames={"p.original0": "weight_g"})
    assert source.take("weight_g", 1) == 1
    source.finish()


@pytest.mark.parametrize("shape, keep", [((5, 3, 7), 0), ((5, 3, 7), 2), ((4, 6, 1), 0)])
def test_weight_norm_gives_each_slice_the_length_of_its_gain(tmp_path, shape, keep):
    random = np.random.default_rng(1)
    gains = tuple(n if axis == keep else 1 for axis, n in enumerate(shape))
    gain, direction = random.uniform(0.5, 2, gains).astype(np.float32), random.standard_normal(shape, np.float32)
    save_file({"weight_g": gain, "weight_v": direction}, tmp_path / "w.safetensors")
    folded = fuse_weight_norm(Checkpoint(tmp_path / "w.safetensors"), *shape, gain_axes=(keep,))
    lengths = np.sqrt((folded.astype(np.float64) ** 2).sum(tuple(a for a in range(3) if a != keep), keepdims=True))
    np.testing.assert_allclose(lengths, gain, rtol=1e-6)
    ratio = folded / direction          # the same within a slice: the direction is kept
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio.mean(tuple(a for a in range(3) if a != keep), keepdims=True),
                                                      shape), rtol=1e-5)


def test_batch_norm_is_a_scale_and_a_shift(tmp_path):
    random = np.random.default_rng(2)
    names = ("weight", "bias", "running_mean", "running_var")
    parts = {name: random.uniform(0.5, 2, 4).astype(np.float32) for name in names}
    save_file(parts, tmp_path / "w.safetensors")
    scale, shift = fuse_batch_norm(Checkpoint(tmp_path / "w.safetensors"), 4)
    x = random.standard_normal(4)
    expected = (x - parts["running_mean"]) / np.sqrt(parts["running_var"] + 1e-5) * parts["weight"] + parts["bias"]
    np.testing.assert_allclose(x * scale + shift, expected, rtol=1e-5)
