"""A conversion by the command: model.safetensors appears complete and checked, or not at all."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from convert import main
from sparktts_ms.config_files import read_config
from sparktts_ms.errors import OutputError, WeightsError
from sparktts_ms.wav2vec2.encoder import load_wav2vec2
from sparktts_ms.weights.checkpoint import find_weights, open_weights
from sparktts_ms.weights.convert import convert
from sparktts_ms.weights.safetensors_file import SafetensorsFile
from sparktts_ms.weights.torch_file import TorchFile
from tests.helpers import ROOT
from tests.weights.test_torch_file import (
    reference,
    sequence,
    storage,
    table,
    tensor,
    text,
    write_legacy,
    write_zip,
)

POSITIONAL = "wav2vec2.encoder.pos_conv_embed.conv"
NEWER_NAMES = {f"{POSITIONAL}.weight_g": f"{POSITIONAL}.parametrizations.weight.original0",
               f"{POSITIONAL}.weight_v": f"{POSITIONAL}.parametrizations.weight.original1"}
PRETRAINING_HEAD = ("quantizer.", "project_q.", "project_hid.", "wav2vec2.masked_spec_embed")


@pytest.fixture(scope="module")
def arrays(tiny_model) -> dict[str, np.ndarray]:
    """The tiny wav2vec2, one tensor in half precision to see that dtypes stay."""
    weights = open_weights(find_weights(tiny_model / "wav2vec2-large-xlsr-53"))
    found = {name: np.array(weights.read(name)) for name in weights.info}
    found["project_q.bias"] = found["project_q.bias"].astype(np.float16)
    return found


def save_bin(path: Path, arrays: dict[str, np.ndarray], legacy: bool = False) -> Path:
    """What torch.save would write of these arrays."""
    kinds = {"f4": "Float", "f2": "Half"}
    tensors, contents, legacy_contents = {}, {}, {}
    for i, (name, array) in enumerate(arrays.items()):
        strides = [step // array.itemsize for step in array.strides]
        stored = storage(str(i), array.size, kinds[array.dtype.str[1:]])
        tensors[name] = tensor(stored, array.shape, strides)
        contents[str(i)] = array.tobytes()
        legacy_contents[str(i)] = (array.size, array.tobytes())
    if legacy:
        return write_legacy(path, table(tensors), legacy_contents)
    return write_zip(path, table(tensors), contents)


@pytest.fixture
def run(capsys):
    """Run the command; returns its exit status, stdout and stderr."""
    def run(*arguments: object) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        return (status, *capsys.readouterr())
    return run


def assert_refused(result: tuple[int, str, str], *words: str) -> None:
    """Status 2, nothing on stdout, and one line on stderr with these words."""
    status, out, err = result
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1, err
    for word in words:
        assert word in err


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Converting

@pytest.mark.parametrize("legacy", [False, True])
def test_convert(tmp_path, arrays, run, legacy):
    target = tmp_path / "model.safetensors"
    status, out, err = run("--pt_filename", save_bin(tmp_path / "any.bin", arrays, legacy))
    assert (status, out, err) == (0, f"{target}\n", "")
    assert files(tmp_path) == ["any.bin", "model.safetensors"]
    converted = load_file(target)
    assert converted.keys() == arrays.keys()
    for name, array in arrays.items():
        assert converted[name].dtype == array.dtype
        np.testing.assert_array_equal(converted[name], array)
    assert SafetensorsFile(target).metadata == {"format": "pt"}


def test_convert_with_all_flags(tmp_path, arrays, run):
    source = save_bin(tmp_path / "any.pt", arrays)
    assert run("--pt_filename", source, "--sf_filename", tmp_path / "any.st",
               "--config_path", tmp_path / "config.json")[0] == 0
    assert files(tmp_path) == ["any.pt", "any.st"]


@pytest.mark.parametrize("names", [{}, NEWER_NAMES], ids=["older names", "newer names"])
def test_converted_weights_load(tmp_path, tiny_model, arrays, names):
    base = {}
    for name, array in arrays.items():
        if not name.startswith(PRETRAINING_HEAD):
            base[names.get(name, name)] = array
    assert len(base) == len(arrays) - 8
    target = convert(save_bin(tmp_path / "w.bin", base))
    load_wav2vec2(target, read_config(tiny_model).wav2vec2)


@pytest.mark.parametrize("name, replacement", [
    ("wav2vec2.encoder.layers.3.layer_norm.bias", None),
    ("lm_head.weight", np.zeros((32, 64), np.float32)),
    ("wav2vec2.feature_projection.projection.weight", np.zeros((2, 2), np.float32))])
def test_weights_of_another_model_do_not_load(tmp_path, tiny_model, arrays, name, replacement):
    changed = arrays | {name: replacement}
    if replacement is None:
        del changed[name]
    target = convert(save_bin(tmp_path / "w.bin", changed))
    with pytest.raises(WeightsError, match=name):
        load_wav2vec2(target, read_config(tiny_model).wav2vec2)


# Refusing

def test_existing_file_is_replaced_on_request_only(tmp_path, arrays, run):
    source = save_bin(tmp_path / "pytorch_model.bin", arrays)
    target = tmp_path / "model.safetensors"
    target.write_bytes(b"precious")
    assert_refused(run("--pt_filename", source), str(target), "--overwrite")
    assert target.read_bytes() == b"precious"
    assert run("--pt_filename", source, "--overwrite")[0] == 0
    assert load_file(target).keys() == arrays.keys()
    assert_refused(run("--pt_filename", source, "--sf_filename", source, "--overwrite"), "itself")
    assert source.exists()


@pytest.mark.parametrize("content", [None, b"", b"PK\3\4 and then nothing", b"<html>no</html>"],
                         ids=["absent", "empty", "half an archive", "a web page"])
def test_no_weights_file(tmp_path, run, content):
    if content is not None:
        (tmp_path / "w.bin").write_bytes(content)
    assert_refused(run("--pt_filename", tmp_path / "w.bin"), "w.bin")
    assert "model.safetensors" not in files(tmp_path)


def test_missing_source_is_named_before_the_target(tmp_path, run):
    (tmp_path / "model.safetensors").touch()
    assert_refused(run("--pt_filename", tmp_path / "pytorch_model.bin"), "pytorch_model.bin")


def test_shards_become_one_file(tmp_path, arrays, run):
    names = sorted(arrays)
    halves = {"a.bin": names[::2], "b.bin": names[1::2]}
    weight_map = {}
    for file, part in halves.items():
        save_bin(tmp_path / file, {name: arrays[name] for name in part})
        weight_map |= dict.fromkeys(part, file)
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    assert run("--pt_filename", index)[0] == 0
    converted = load_file(tmp_path / "model.safetensors")
    assert converted.keys() == arrays.keys()
    assert all(np.array_equal(converted[name], arrays[name]) for name in names)


def test_pickled_command_is_refused(tmp_path, run):
    command = reference("os", "system") + sequence(text(f"touch {tmp_path / 'was_run'}")) + b"R"
    source = write_zip(tmp_path / "w.bin", table({"w": command}), {})
    assert_refused(run("--pt_filename", source), "os.system")
    assert files(tmp_path) == ["w.bin"]


def test_full_disk_leaves_nothing(tmp_path, arrays):
    source = save_bin(tmp_path / "w.bin", arrays)

    def limit_file_size():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run([sys.executable, "convert.py", "--pt_filename", source], cwd=ROOT,
                          preexec_fn=limit_file_size, capture_output=True, text=True)
    assert_refused((done.returncode, done.stdout, done.stderr), "model.safetensors",
                   "cannot be written")
    assert files(tmp_path) == ["w.bin"]


def test_ctrl_c_leaves_nothing(tmp_path, arrays, run, monkeypatch):
    read_bytes = TorchFile.read_bytes
    names = []

    def interrupted(self, name):
        names.append(name)
        if len(names) == 5:
            assert len(files(tmp_path)) == 2        # one is being written
            raise KeyboardInterrupt
        return read_bytes(self, name)

    monkeypatch.setattr(TorchFile, "read_bytes", interrupted)
    status, out, _ = run("--pt_filename", save_bin(tmp_path / "w.bin", arrays))
    assert (status, out) == (130, "")
    assert files(tmp_path) == ["w.bin"]


def test_copy_that_reads_back_differently_is_refused(tmp_path, arrays, monkeypatch):
    def read_zeros(self, name):
        return np.zeros(self.info[name].nbytes, np.uint8)

    monkeypatch.setattr(SafetensorsFile, "read_bytes", read_zeros)
    with pytest.raises(OutputError, match="read back"):
        convert(save_bin(tmp_path / "w.bin", arrays))
    assert files(tmp_path) == ["w.bin"]
