"""BiCodec: padding and windows do not change its output."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from sparktts_ms.bicodec import codec
from sparktts_ms.bicodec.chunking import plan_windows
from sparktts_ms.bicodec.codec import BiCodec
from sparktts_ms.config_files import read_config
from sparktts_ms.runtime import Runtime
from sparktts_ms.weights.safetensors_file import SafetensorsFile
from tests.helpers import assert_close

RANDOM = np.random.default_rng(11)


@pytest.fixture(scope="module")
def bicodec(shared_tts, form):
    return shared_tts("pynative").codec


@pytest.mark.parametrize("frames", [1, 2, 12, 63, 64, 65, 130, 300])
def test_decode_is_independent_of_padding_and_windows(bicodec, monkeypatch, frames):
    global_ids = RANDOM.integers(0, 4096, 32)
    semantic_ids = RANDOM.integers(0, 8192, frames)
    actual = bicodec.decode(global_ids, semantic_ids)
    monkeypatch.setattr(codec, "SPEECH_FRAME_BUCKETS", (frames,))
    monkeypatch.setattr(codec, "plan_windows", lambda length, context, sizes: plan_windows(
        length, context, (frames,)))
    assert_close(actual, bicodec.decode(global_ids, semantic_ids), 2e-5)


@pytest.mark.parametrize("frames", [1, 150, 151])
def test_encode_semantic_is_independent_of_padding(bicodec, monkeypatch, frames):
    features = RANDOM.standard_normal((frames, bicodec.config.encoder.input_channels))
    features = features.astype(np.float32)
    ids = bicodec.encode_semantic(features)
    monkeypatch.setattr(codec, "PROMPT_FRAME_BUCKETS", (frames,))
    np.testing.assert_array_equal(ids, bicodec.encode_semantic(features))


def test_weight_norm_of_newer_pytorch(tiny_model, tmp_path, form):
    """A checkpoint saved with `parametrizations.weight_norm`, and with a prefix, is the same."""
    file = SafetensorsFile(tiny_model / "BiCodec" / "model.safetensors")
    ends = {"weight_g": "parametrizations.weight.original0",
            "weight_v": "parametrizations.weight.original1"}
    arrays = {}
    for name in file.info:
        stem, end = name.rsplit(".", 1)
        arrays[f"module.{stem}.{ends.get(end, end)}"] = np.array(file.read(name))
    save_file(arrays, tmp_path / "model.safetensors")
    config = read_config(tiny_model).bicodec
    runtime = Runtime.start("CPU", mode="pynative")
    random = np.random.default_rng(4)
    global_ids, semantic_ids = random.integers(0, 4096, 32), random.integers(0, 8192, 20)
    decoded = []
    for path in (file.path, tmp_path / "model.safetensors"):
        decoded.append(BiCodec(path, config, runtime).decode(global_ids, semantic_ids))
    np.testing.assert_array_equal(*decoded)
