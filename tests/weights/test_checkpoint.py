"""Checkpoints: each tensor taken once, of the right shape, and none left over."""

import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from sparktts_ms.errors import ModelError, WeightsError
from sparktts_ms.weights.checkpoint import (
    Checkpoint,
    find_weights,
    fuse_batch_norm,
    fuse_weight_norm,
    open_weights,
)
from sparktts_ms.weights.safetensors_file import SafetensorsFile
from sparktts_ms.weights.torch_file import TorchFile
from tests.helpers import GOLDEN

ARRAYS = {"net.a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "net.b": np.float16([1.5]),
          "steps": np.int64([3])}


@pytest.fixture
def weights(tmp_path):
    save_file(ARRAYS, tmp_path / "w.safetensors")
    return Checkpoint(tmp_path / "w.safetensors")


def test_take_gives_float32(weights):
    taken = weights.at("net").at("a").take("weight", 2, 3)
    np.testing.assert_array_equal(taken, ARRAYS["net.a.weight"])
    half = weights.at("net").take("b", 1)
    assert half.dtype == np.float32 and half[0] == 1.5
    weights.finish((r"steps",))


def test_take_view(weights):
    view = weights.take_view("net.a.weight", 2, 3)
    np.testing.assert_array_equal(view, ARRAYS["net.a.weight"])


@pytest.mark.parametrize("name, shape, words", [
    ("net.c", (1,), ["lacks", "net.c"]), ("net.a.weight", (3, 2), ["net.a.weight", "2, 3", "3, 2"]),
    ("steps", (1,), ["steps", "no float"])])
def test_misfit_is_named(weights, name, shape, words):
    with pytest.raises(WeightsError) as error:
        weights.take(name, *shape)
    assert all(word in str(error.value) for word in [*words, "w.safetensors"])


def test_unused_tensor_is_named(weights):
    weights.take("net.b", 1)
    with pytest.raises(WeightsError, match=r"net\.a\.weight"):
        weights.finish((r"steps",))


def test_tensor_is_taken_once(weights):
    weights.take("net.b", 1)
    with pytest.raises(AssertionError):
        weights.take("net.b", 1)


def test_renames(tmp_path):
    save_file({"p.original0": np.ones(1, np.float32)}, tmp_path / "w.safetensors")
    weights = Checkpoint(tmp_path / "w.safetensors", renames={"p.original0": "weight_g"})
    assert weights.take("weight_g", 1) == 1
    weights.finish()


@pytest.mark.parametrize("shape, gain_axis", [((5, 3, 7), 0), ((5, 3, 7), 2), ((4, 6, 1), 0)])
def test_fuse_weight_norm(tmp_path, shape, gain_axis):
    random = np.random.default_rng(1)
    gain_shape = tuple(n if axis == gain_axis else 1 for axis, n in enumerate(shape))
    gain = random.uniform(0.5, 2, gain_shape).astype(np.float32)
    direction = random.standard_normal(shape, np.float32)
    save_file({"weight_g": gain, "weight_v": direction}, tmp_path / "w.safetensors")
    fused = fuse_weight_norm(Checkpoint(tmp_path / "w.safetensors"), *shape, gain_axes=(gain_axis,))
    axes = tuple(axis for axis in range(3) if axis != gain_axis)
    norms = np.sqrt((fused.astype(np.float64) ** 2).sum(axes, keepdims=True))
    np.testing.assert_allclose(norms, gain, rtol=1e-6)
    ratio = fused / direction
    mean = np.broadcast_to(ratio.mean(axes, keepdims=True), shape)
    np.testing.assert_allclose(ratio, mean, rtol=1e-5)


def test_fuse_batch_norm(tmp_path):
    random = np.random.default_rng(2)
    names = ("weight", "bias", "running_mean", "running_var")
    parts = {name: random.uniform(0.5, 2, 4).astype(np.float32) for name in names}
    save_file(parts, tmp_path / "w.safetensors")
    scale, shift = fuse_batch_norm(Checkpoint(tmp_path / "w.safetensors"), 4)
    x = random.standard_normal(4)
    normalized = (x - parts["running_mean"]) / np.sqrt(parts["running_var"] + 1e-5)
    expected = normalized * parts["weight"] + parts["bias"]
    np.testing.assert_allclose(x * scale + shift, expected, rtol=1e-5)


# Finding and opening

def test_find_weights_prefers_safetensors(tmp_path):
    with pytest.raises(ModelError, match=tmp_path.name):
        find_weights(tmp_path)
    (tmp_path / "pytorch_model.bin").touch()
    assert find_weights(tmp_path).name == "pytorch_model.bin"
    (tmp_path / "model.safetensors").touch()
    assert find_weights(tmp_path) == tmp_path / "model.safetensors"


def test_open_weights_looks_at_content(tmp_path):
    save_file(ARRAYS, tmp_path / "a.bin")
    assert isinstance(open_weights(tmp_path / "a.bin"), SafetensorsFile)
    for name in ("zip.bin", "legacy.bin"):
        (tmp_path / "b.safetensors").write_bytes((GOLDEN / "torch_bin" / name).read_bytes())
        assert isinstance(open_weights(tmp_path / "b.safetensors"), TorchFile)


def test_git_lfs_pointer_is_recognised(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (tmp_path / "w").write_text(pointer)
    with pytest.raises(WeightsError, match="git lfs pull"):
        open_weights(tmp_path / "w")


def test_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WeightsError):
        open_weights(tmp_path / "pipe")
