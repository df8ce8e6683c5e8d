"""Checkpoints: each tensor taken once, of the right shape, and none left over."""

import os
import shutil
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from sparktts_ms.errors import ModelError, WeightsError
from sparktts_ms.weights.checkpoint import (
    Checkpoint,
    Layout,
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


# Names as other tools write them

LAYOUT = Layout("model.", "embed.weight", ("lm_head.",))
NAMES = ("model.embed.weight", "model.layers.0.bias", "lm_head.weight")


def checkpoint(folder, names, layout=LAYOUT):
    """A checkpoint with tensors of these names, each holding its number."""
    arrays = {name: np.full(1, number, np.float32) for number, name in enumerate(names)}
    save_file(arrays, folder / "w.safetensors")
    return Checkpoint(folder / "w.safetensors", layout)


@pytest.mark.parametrize("names", [
    NAMES,
    [f"base_model.model.{name}" for name in NAMES],
    [f"_orig_mod.{name}" for name in NAMES],
    [f"module.{name}" for name in NAMES],
    [f"module._orig_mod.{name}" for name in NAMES],
    [f"_orig_mod.module.{name}" for name in NAMES],
    [f"_fsdp_wrapped_module.{name}" for name in NAMES],
    [f"llm.{name}" for name in NAMES],
    [f"net.llm.{name}" for name in NAMES],
    ["embed.weight", "layers.0.bias", "lm_head.weight"],
    ["base_model.model.embed.weight", "base_model.model.layers.0.bias",
     "base_model.lm_head.weight"],
    ["model.embed.weight", "model.layers.0._orig_mod.bias", "lm_head.weight"],
    ["model.embed.weight", "model.layers.0._fsdp_wrapped_module.bias", "lm_head.weight"],
    ["model.embed.weight", "model.layers.0._checkpoint_wrapped_module.bias", "lm_head.weight"],
    ["model.embed.weight", "model.layers.0.base_layer.bias", "lm_head.weight"],
], ids=lambda names: names[1])
def test_wrapped_and_prefixed_names(tmp_path, names):
    weights = checkpoint(tmp_path, names)
    for number, name in enumerate(NAMES):
        assert weights.take(name, 1) == number
    weights.finish()


@pytest.mark.parametrize("names", [
    [name.removeprefix("model.") for name in NAMES[:2]],
    [f"base_model.{name}" for name in NAMES[:2]]])
def test_bare_network(tmp_path, names):
    weights = checkpoint(tmp_path, names)
    assert not weights.has("lm_head.weight")
    assert weights.at("model").take("layers.0.bias", 1) == 1


def test_names_without_a_common_prefix_stay(tmp_path):
    weights = checkpoint(tmp_path, ["model.embed.weight", "ema.embed.weight", "ema.layers.0.bias"])
    assert weights.take("model.embed.weight", 1) == 0
    with pytest.raises(WeightsError, match=r"ema\.embed\.weight.* and 1 more"):
        weights.finish()


def test_two_names_of_one_tensor_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"model\.embed\.weight' twice: .*_orig_mod\."):
        checkpoint(tmp_path, ["model.embed.weight", "_orig_mod.model.embed.weight"])


def test_another_network_is_named(tmp_path):
    weights = checkpoint(tmp_path, ["encoder.conv1.weight"])
    with pytest.raises(WeightsError, match=r"another network: it lacks model\.embed\.weight, but "
                                           r"has 'encoder\.conv1\.weight'"):
        weights.take("model.layers.0.bias", 1)


@pytest.mark.parametrize("prefix", ["", "_orig_mod."])
def test_weight_norm_of_pytorch_2(tmp_path, prefix):
    names = [f"{prefix}conv.parametrizations.weight.original{n}" for n in (0, 1)]
    weights = checkpoint(tmp_path, names, None).at("conv")
    assert (weights.take("weight_g", 1), weights.take("weight_v", 1)) == (0, 1)
    weights.finish()


def test_weight_norm_that_was_removed(tmp_path):
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3, 1)
    save_file({"weight": kernel}, tmp_path / "w.safetensors")
    fused = fuse_weight_norm(Checkpoint(tmp_path / "w.safetensors"), 2, 3, 1)
    np.testing.assert_array_equal(fused, kernel)


@pytest.mark.parametrize("buffer", [
    "model.rotary_emb.inv_freq", "model.layers.3.self_attn.rotary_emb.inv_freq",
    "model.layers.3.self_attn.rotary_emb.cos_cached", "model.layers.3.self_attn.masked_bias",
    "model.layers.3.self_attn.bias"])
def test_computed_buffers_are_left_out(tmp_path, buffer):
    weights = checkpoint(tmp_path, [*NAMES, buffer])
    for name in NAMES:
        weights.take(name, 1)
    weights.finish()


@pytest.mark.parametrize("names, words", [
    (["base_model.model.model.layers.0.q_proj.lora_A.weight"], ["LoRA adapter", "merge"]),
    (["model.layers.0.q_proj.lora_B.default.weight", *NAMES], ["LoRA adapter"]),
    (["model.layers.0.q_proj.weight.absmax"], ["quantized", "bitsandbytes"]),
    (["model.layers.0.q_proj.weight.quant_state.bitsandbytes__nf4"], ["bitsandbytes"]),
    (["model.layers.0.q_proj.SCB"], ["bitsandbytes"]),
    (["model.layers.0.q_proj.qweight"], ["GPTQ or AWQ", "float16"]),
    (["model.layers.0.q_proj.weight_packed"], ["compressed-tensors"]),
    (["model.layers.0.q_proj.weight_scale_inv"], ["FP8"]),
    (["model.layers.0.q_proj.scales"], ["MLX"])])
def test_adapters_and_quantized_weights_are_named(tmp_path, names, words):
    with pytest.raises(WeightsError) as error:
        checkpoint(tmp_path, names).take("model.layers.0.q_proj.weight", 1)
    assert all(word in str(error.value) for word in [*words, "w.safetensors"])
    assert "\n" not in str(error.value)


def test_conversion_for_mlx_is_named(tmp_path):
    save_file({"w": np.ones((2, 3), np.float32)}, tmp_path / "w.safetensors", {"format": "mlx"})
    with pytest.raises(WeightsError, match="MLX"):
        Checkpoint(tmp_path / "w.safetensors").take("w", 3, 2)


def test_equal_compares_values(tmp_path):
    table = np.arange(10_000, dtype=np.float32).reshape(5000, 2) % 2048
    other = table.copy()
    other[4999, 1] += 1
    save_file({"a": table, "b": table.astype(np.float16), "c": other, "d": table[1:]},
              tmp_path / "w.safetensors")
    weights = Checkpoint(tmp_path / "w.safetensors")
    assert weights.equal("a", "b")
    assert not weights.equal("a", "c")
    assert not weights.equal("a", "d")


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
    shutil.copy(GOLDEN / "torch_bin" / "zip.bin", tmp_path / "pytorch_model.bin")
    assert find_weights(tmp_path).name == "pytorch_model.bin"
    save_file(ARRAYS, tmp_path / "model.safetensors")
    assert find_weights(tmp_path) == tmp_path / "model.safetensors"


def test_weights_that_are_no_file_are_named(tmp_path):
    path = tmp_path / "model.safetensors"
    for make, problem in ((path.mkdir, "is a folder"), (lambda: os.mkfifo(path), "no regular file"),
                          (lambda: path.symlink_to("/dev/zero"), "no regular file"),
                          (lambda: path.symlink_to("none"), "link to a file that is missing"),
                          (lambda: path.write_text("<html>"), "web page")):
        make()
        with pytest.raises(ModelError, match=problem) as error:
            find_weights(tmp_path)
        assert error.value.subject == path
        path.rmdir() if path.is_dir() else path.unlink()


def test_open_weights_looks_at_content(tmp_path):
    save_file(ARRAYS, tmp_path / "a.bin")
    assert isinstance(open_weights(tmp_path / "a.bin"), SafetensorsFile)
    for name in ("zip.bin", "legacy.bin"):
        (tmp_path / "b.safetensors").write_bytes((GOLDEN / "torch_bin" / name).read_bytes())
        assert isinstance(open_weights(tmp_path / "b.safetensors"), TorchFile)


@pytest.mark.parametrize("length", [0x4B50, 0x2380], ids=["PK", "pickle"])
def test_safetensors_whose_header_length_looks_like_another_format(tmp_path, length):
    save_file(ARRAYS, tmp_path / "w")
    content = (tmp_path / "w").read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    header = content[8:8 + size].ljust(length)
    (tmp_path / "w").write_bytes(struct.pack("<Q", length) + header + content[8 + size:])
    assert isinstance(open_weights(tmp_path / "w"), SafetensorsFile)


def test_git_lfs_pointer_is_recognised(tmp_path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (tmp_path / "w").write_text(pointer)
    with pytest.raises(WeightsError, match="git lfs pull"):
        open_weights(tmp_path / "w")


def test_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WeightsError):
        open_weights(tmp_path / "pipe")
