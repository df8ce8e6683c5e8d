"""MindSpore ONE, which Ascend users have: files and feature extraction agree with its own.

Its networks have no CPU kernels, so they cannot be references here.
"""

import numpy as np
import pytest

from sparktts_ms.wav2vec2.features import normalize
from sparktts_ms.weights.safetensors_file import SafetensorsFile, TensorInfo, write_safetensors


def test_mindone_reads_our_files(tmp_path):
    safetensors = pytest.importorskip("mindone.safetensors.mindspore")
    arrays = {"b.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.float16([1, 2]),
              "n": np.int64([3])}
    dtypes = {"float32": "F32", "float16": "F16", "int64": "I64"}
    tensors = []
    for name, array in arrays.items():
        tensors.append((name, TensorInfo(dtypes[array.dtype.name], array.shape)))
    path = tmp_path / "ours.safetensors"
    write_safetensors(path, tensors, lambda name: arrays[name].tobytes())
    for name, loaded in safetensors.load_file(str(path)).items():
        np.testing.assert_array_equal(loaded.asnumpy(), arrays.pop(name))
    assert not arrays


def test_mindone_files_are_read(tmp_path):
    safetensors = pytest.importorskip("mindone.safetensors.mindspore")
    import mindspore as ms

    array = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    path = tmp_path / "theirs.safetensors"
    safetensors.save_file({"x": ms.Tensor(array)}, str(path))
    np.testing.assert_array_equal(SafetensorsFile(path).read("x"), array)


@pytest.mark.slow        # imports a port of transformers for some seconds
def test_normalize_equals_mindone():
    transformers = pytest.importorskip("mindone.transformers")
    extractor = transformers.Wav2Vec2FeatureExtractor(
        feature_size=1, sampling_rate=16000, padding_value=0.0, do_normalize=True,
        return_attention_mask=True)
    samples = 0.1 + 0.3 * np.random.default_rng(0).standard_normal(5000)
    features = extractor(samples, sampling_rate=16000, return_tensors="np")
    np.testing.assert_allclose(normalize(samples), features["input_values"][0], atol=1e-6)
