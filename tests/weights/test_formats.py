"""Files and folders of other tools are named, with what to do."""

import gzip
import io
import tarfile

import mindspore as ms
import numpy as np
import pytest

from sparktts_ms.errors import ModelError, WeightsError
from sparktts_ms.weights.checkpoint import find_weights, open_weights
from sparktts_ms.weights.formats import quantizer


def mindspore_checkpoint(folder):
    ms.save_checkpoint([{"name": "w", "data": ms.Tensor(np.ones((20, 30), np.float32))}],
                       str(folder / "w.ckpt"))
    return (folder / "w.ckpt").read_bytes()


def tar(folder):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.safetensors"))
    return content.getvalue()


FILES = {
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
                ["git-lfs pointer", "git lfs pull"]),
    "gguf": (b"GGUF\x03\0\0\0" + bytes(40), ["GGUF", "safetensors"]),
    "gguf with a brace": (b"GGUF\x03\0\0\0{" + bytes(40), ["GGUF", "safetensors"]),
    "onnx": (b"\x08\x08\x12\x07pytorch\x1a\x051.13", ["ONNX"]),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(40), ["TensorFlow or Keras"]),
    "numpy": (b"\x93NUMPY\x01\0" + bytes(40), ["NumPy"]),
    "gzip": (gzip.compress(b"weights"), ["gzip", "Unpack"]),
    "web page": (b"<!DOCTYPE html><html>", ["web page", "Download"]),
    "web page with space": (b"\n\n  <html>", ["web page"]),
    "json": (b'{"error": "not found"}', ["JSON"]),
    "empty": (b"", ["empty"]),
    "zeros": (bytes(5000), ["zeros"]),
    "text": (b"hello world", ["neither a safetensors file nor"]),
    "mindspore": (mindspore_checkpoint, ["MindSpore", "ckpt_to_safetensors"]),
    "tar": (tar, ["tar", "Unpack"]),
}


@pytest.mark.parametrize("what", FILES)
def test_file_of_another_kind_is_named(tmp_path, what):
    content, words = FILES[what]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content if isinstance(content, bytes) else content(tmp_path))
    with pytest.raises(WeightsError) as error:
        open_weights(path)
    assert all(word in str(error.value) for word in [*words, "model.safetensors"])
    assert str(error.value).isprintable()


@pytest.mark.parametrize("name, words", [
    ("adapter_config.json", ["LoRA adapter", "merge_and_unload"]),
    ("adapter_model.safetensors", ["LoRA adapter"]),
    ("adapter_model.bin", ["LoRA adapter"]),
    ("model-Q4_K_M.gguf", ["GGUF", "model-Q4_K_M.gguf"]),
    ("model.onnx", ["ONNX"]),
    ("consolidated.00.pth", ["Meta"]),
    ("consolidated.safetensors", ["Meta"]),
    ("tf_model.h5", ["TensorFlow"]),
    ("flax_model.msgpack", ["Flax"]),
    ("model.ckpt", ["MindSpore"]),
    ("model.ckpt.index", ["TensorFlow"]),
    ("zero_to_fp32.py", ["distributed", "zero_to_fp32.py"]),
    ("__0_0.distcp", ["distributed", "merge-weights"]),
    ("model-00001-of-00002.safetensors", ["without their index"]),
    ("checkpoint-9/model.safetensors", ["checkpoint-9", "Move the files"]),
    ("merged/pytorch_model.bin", ["merged"]),
    ("model.fp16.safetensors", ["model.fp16.safetensors", "name it model.safetensors"]),
    ("xlsr_53_56k.pt", ["xlsr_53_56k.pt"]),
    ("optimizer.pt", ["neither model.safetensors nor"]),
    ("README.md", ["neither model.safetensors nor"]),
])
def test_folder_of_another_kind_is_named(tmp_path, name, words):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(ModelError) as error:
        find_weights(tmp_path)
    assert all(word in str(error.value) for word in [*words, str(tmp_path)])
    assert str(error.value).isprintable()


def test_latest_checkpoint_of_a_trainer_is_named(tmp_path):
    for step in (500, 1000, 1500):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "model.safetensors").touch()
    with pytest.raises(ModelError, match="checkpoint-1500 and 2 more"):
        find_weights(tmp_path)


def test_released_names_are_not_taken_for_quantized(tiny_model):
    for path in tiny_model.rglob("*.safetensors"):
        assert quantizer(open_weights(path).info) is None
