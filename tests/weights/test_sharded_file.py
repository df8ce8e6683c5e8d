"""Weights in several files: every tensor in one shard beside the index."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from sparktts_ms.errors import ModelError, WeightsError
from sparktts_ms.weights.checkpoint import Checkpoint, find_weights, open_weights
from tests.helpers import GOLDEN

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float16([1.5, 2]),
          "c": np.int64([7])}
FILES = {"a": "model-00001-of-00002.safetensors", "b": "model-00001-of-00002.safetensors",
         "c": "model-00002-of-00002.safetensors"}
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path):
    """A folder with two shards and their index."""
    for file in set(FILES.values()):
        save_file({n: array for n, array in ARRAYS.items() if FILES[n] == file}, tmp_path / file,
                  {"format": "pt"})
    write_index(tmp_path, FILES)
    return tmp_path


def write_index(folder, weight_map, **more):
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map, **more}))


def test_shards_are_one_file(folder):
    assert find_weights(folder) == folder / INDEX
    weights = open_weights(folder / INDEX)
    assert weights.info.keys() == ARRAYS.keys() and weights.metadata == {"format": "pt"}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(weights.read(name), array)
        assert bytes(weights.read_bytes(name)) == array.tobytes()
    assert not weights.read("a").flags.owndata
    checkpoint = Checkpoint(folder / INDEX)
    np.testing.assert_array_equal(checkpoint.take("a", 2, 3), ARRAYS["a"])
    with pytest.raises(WeightsError, match="'b' and 1 more"):
        checkpoint.finish()


def test_one_file_comes_first(folder):
    save_file(ARRAYS, folder / "model.safetensors")
    assert find_weights(folder).name == "model.safetensors"


def test_order_of_transformers(folder):
    shutil.copy(GOLDEN / "torch_bin" / "zip.bin", folder / "pytorch_model.bin")
    assert find_weights(folder).name == INDEX
    (folder / INDEX).unlink()
    assert find_weights(folder).name == "pytorch_model.bin"


def test_tensor_that_the_index_leaves_out_is_there(folder):
    write_index(folder, {name: FILES[name] for name in "ac"})
    np.testing.assert_array_equal(open_weights(folder / INDEX).read("b"), ARRAYS["b"])


@pytest.mark.parametrize("weight_map, problem", [
    ({**FILES, "c": "model-00003-of-00003.safetensors"}, "which is missing"),
    ({**FILES, "d": "model-00002-of-00002.safetensors"}, "lacks the tensor 'd'"),
    ({**FILES, "a": "model-00002-of-00002.safetensors"}, "lacks the tensor 'a'"),
    ({**FILES, "a": "../outside.safetensors"}, "no file beside it"),
    ({**FILES, "a": "/etc/passwd"}, "no file beside it"),
    ({**FILES, "a": "C:\\\\weights"}, "no file beside it"),
    ({**FILES, "a": ".."}, "no file beside it"),
    ({**FILES, "a": ""}, "no file beside it"),
    ({**FILES, "a": 3}, "no file beside it"),
    ({**FILES, "a": ["x" * 10**6]}, "no file beside it"),
    ({**FILES, "a": "x" * 10**5}, "no file beside it"),
    ({**FILES, "a": "x\0y"}, "no file beside it"),
    ({**FILES, "a": "a\nb"}, "no file beside it"),
    ({f"t{n}": f"f{n}" for n in range(2000)}, "more than 1000"),
    ({**FILES, "a": INDEX}, "JSON, not weights"),
    ({}, "no weight_map"), ([], "no weight_map"), (None, "no weight_map"), ("x", "no weight_map"),
])
def test_wrong_index_is_one_line(folder, weight_map, problem):
    write_index(folder, weight_map)
    with pytest.raises(WeightsError, match=problem) as error:
        open_weights(folder / INDEX)
    assert str(error.value).isprintable() and len(str(error.value)) < 500


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"[1]"])
def test_damaged_index_is_one_line(folder, content):
    (folder / INDEX).write_bytes(content)
    with pytest.raises(WeightsError, match=r"index\.json") as error:
        open_weights(folder / INDEX)
    assert str(error.value).isprintable()


def test_tensor_in_two_shards_is_refused(folder):
    save_file({"a": ARRAYS["a"], "c": ARRAYS["c"]}, folder / FILES["c"])
    with pytest.raises(WeightsError, match=r"'a' is in model-00001-.* and in model-00002"):
        open_weights(folder / INDEX)


def test_shard_that_is_a_pointer_is_named(folder):
    (folder / FILES["c"]).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(WeightsError, match=r"model-00002-of-00002.* git-lfs pointer"):
        open_weights(folder / INDEX)


def test_shards_without_their_index_are_named(folder):
    (folder / INDEX).unlink()
    with pytest.raises(ModelError, match="without their index"):
        find_weights(folder)
