"""A whole conversion, as users run it: model.safetensors appears complete and checked, or nothing changes."""

import importlib.util
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from sparktts_ms.errors import ModelError, OutputError, WeightsError
from sparktts_ms.weights.checkpoint import find_weights, open_weights
from sparktts_ms.weights.convert import convert
from sparktts_ms.weights.safetensors_file import SafetensorsFile, TensorInfo
from sparktts_ms.weights.torch_bin import TorchBin
from sparktts_ms.weights.wav2vec2_layout import NEWER_NAMES, check_layout, expected_shapes, optional_shapes
from tests.weights.test_torch_bin import named, sequence, storage, table, tensor, text, write_legacy, write_zip

SCRIPT = Path(__file__).resolve().parent.parent.parent / "convert.py"
XLSR_53 = {"conv_dim": [512] * 7, "conv_kernel": [10, 3, 3, 3, 3, 2, 2], "hidden_size": 1024,
           "intermediate_size": 4096, "num_hidden_layers": 24, "num_conv_pos_embeddings": 128,
           "num_conv_pos_embedding_groups": 16, "num_codevector_groups": 2, "num_codevectors_per_group": 320,
           "codevector_dim": 768, "proj_codevector_dim": 768}


@pytest.fixture(scope="module")
def arrays(tiny_model) -> dict[str, np.ndarray]:
    """The tiny wav2vec2, one tensor in half precision to see that dtypes are kept."""
    with open_weights(find_weights(tiny_model / "wav2vec2-large-xlsr-53")) as weights:
        found = {name: np.array(weights.read(name)) for name in weights.info}
    found["project_q.bias"] = found["project_q.bias"].astype(np.float16)
    return found


@pytest.fixture
def folder(tmp_path, tiny_model) -> Path:
    config = (tiny_model / "wav2vec2-large-xlsr-53" / "config.json").read_text()
    (tmp_path / "config.json").write_text(config)
    return tmp_path


def save_bin(path: Path, arrays: dict[str, np.ndarray], legacy: bool = False) -> Path:
    """What torch.save would make of these arrays."""
    kinds = {"f4": "Float", "f2": "Half"}
    saved = {name: tensor(storage(str(i), array.size, kinds[array.dtype.str[1:]]), array.shape,
                          [step // array.itemsize for step in array.strides])
             for i, (name, array) in enumerate(arrays.items())}
    contents = {str(i): array.tobytes() for i, array in enumerate(arrays.values())}
    if not legacy:
        return write_zip(path, table(saved), contents)
    return write_legacy(path, table(saved), {
        key: (array.size, contents[key]) for key, array in zip(contents, arrays.values(), strict=True)})


def run(*arguments: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True,
                          cwd=SCRIPT.parent, **options)


def refused(result: subprocess.CompletedProcess, *words: str) -> None:
    """Status 2, nothing on stdout, and one line on stderr with these words."""
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Converting

@pytest.mark.parametrize("legacy", [False, True])
def test_one_argument_is_enough(folder, arrays, legacy):
    result = run("--pt_filename", save_bin(folder / "pytorch_model.bin", arrays, legacy))
    target = folder / "model.safetensors"
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == str(target)
    assert files(folder) == ["config.json", "model.safetensors", "pytorch_model.bin"]
    converted = load_file(target)
    assert converted.keys() == arrays.keys()
    for name, array in arrays.items():
        assert converted[name].dtype == array.dtype
        np.testing.assert_array_equal(converted[name], array)
    with SafetensorsFile(target) as weights:
        assert weights.metadata == {"format": "pt"}


def test_all_three_paths_can_be_given(folder, arrays, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    source = save_bin(elsewhere / "any.pt", arrays)
    result = run("--pt_filename", source, "--sf_filename", elsewhere / "any.st",
                 "--config_path", folder / "config.json")
    assert result.returncode == 0, result.stderr
    assert files(elsewhere) == ["any.pt", "any.st"]


def test_newer_names_of_the_positional_convolution_are_kept(folder, arrays):
    newer = {old: new for new, old in NEWER_NAMES.items()}
    renamed = {newer.get(name, name): array for name, array in arrays.items()}
    assert run("--pt_filename", save_bin(folder / "w.bin", renamed)).returncode == 0
    assert load_file(folder / "model.safetensors").keys() == renamed.keys()


def test_the_pre_training_head_may_be_absent(folder, arrays):
    optional = optional_shapes(json.loads((folder / "config.json").read_text()))
    base = {name: array for name, array in arrays.items() if name not in optional}
    assert len(base) == len(arrays) - 8
    assert run("--pt_filename", save_bin(folder / "w.bin", base)).returncode == 0


# Refusing

def test_an_existing_file_is_replaced_only_on_request(folder, arrays):
    source, target = save_bin(folder / "pytorch_model.bin", arrays), folder / "model.safetensors"
    target.write_bytes(b"precious")
    refused(run("--pt_filename", source), str(target), "--overwrite")
    assert target.read_bytes() == b"precious"
    assert run("--pt_filename", source, "--overwrite").returncode == 0
    assert load_file(target).keys() == arrays.keys()
    refused(run("--pt_filename", source, "--sf_filename", source, "--overwrite"), "itself")
    assert source.exists()


@pytest.mark.parametrize("name, replacement", [
    ("wav2vec2.encoder.layers.3.layer_norm.bias", None), ("lm_head.weight", np.zeros((32, 64), np.float32)),
    ("wav2vec2.feature_projection.projection.weight", np.zeros((2, 2), np.float32)),
    ("quantizer.codevectors", np.zeros(4, np.float32))])
def test_weights_that_do_not_fit_the_config_are_refused_before_writing(folder, arrays, name, replacement):
    odd = arrays | {name: replacement}
    if replacement is None:
        del odd[name]
    refused(run("--pt_filename", save_bin(folder / "w.bin", odd)), name, "config.json")
    assert files(folder) == ["config.json", "w.bin"]


CONFIGS = {"absent": None, "not JSON": "{", "a list": "[]", "empty": "{}", "nested deeply": "[" * 100_000,
           "a size in words": json.dumps({**XLSR_53, "hidden_size": "wide"}),
           "one width for all": json.dumps({**XLSR_53, "conv_dim": 5}),
           "uneven groups": json.dumps({**XLSR_53, "num_conv_pos_embedding_groups": 7})}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_config_that_says_nothing_useful_is_named(folder, arrays, config):
    source = save_bin(folder / "w.bin", arrays)
    (folder / "config.json").unlink()
    if config is not None:
        (folder / "config.json").write_text(config)
    refused(run("--pt_filename", source), "config.json")
    assert not (folder / "model.safetensors").exists()


@pytest.mark.parametrize("content", [None, b"", b"PK\3\4 and then nothing", b"<html>not found</html>"],
                         ids=["absent", "empty", "half an archive", "a web page"])
def test_a_source_that_is_no_weight_file_is_named(folder, content):
    if content is not None:
        (folder / "w.bin").write_bytes(content)
    refused(run("--pt_filename", folder / "w.bin"), "w.bin")
    assert "model.safetensors" not in files(folder)


def test_a_source_that_would_run_a_command_is_refused(folder):
    command = named("os", "system") + sequence(text(f"touch {folder / 'was_run'}")) + b"R"
    refused(run("--pt_filename", write_zip(folder / "w.bin", table({"w": command}), {})), "os.system")
    assert files(folder) == ["config.json", "w.bin"]


def test_when_the_disk_ends_nothing_is_left(folder, arrays):
    source = save_bin(folder / "w.bin", arrays)

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    refused(run("--pt_filename", source, preexec_fn=small_files), "model.safetensors", "cannot be written")
    assert files(folder) == ["config.json", "w.bin"]


def test_ctrl_c_leaves_nothing_and_says_so(folder, arrays, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("convert_command", SCRIPT)
    command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(command)
    raw, left = TorchBin.raw, [5]

    def interrupted(self, name):
        left[0] -= 1
        if not left[0]:
            assert len(files(folder)) == 3      # one is being written
            raise KeyboardInterrupt
        return raw(self, name)

    monkeypatch.setattr(TorchBin, "raw", interrupted)
    assert command.main(["--pt_filename", str(save_bin(folder / "w.bin", arrays))]) == 130
    assert files(folder) == ["config.json", "w.bin"]
    assert capsys.readouterr().out == ""


def test_a_copy_that_reads_back_differently_never_takes_its_name(folder, arrays, monkeypatch):
    monkeypatch.setattr(SafetensorsFile, "raw", lambda self, name: bytes(self.info[name].nbytes))
    with pytest.raises(OutputError, match="read back"):
        convert(save_bin(folder / "w.bin", arrays))
    assert files(folder) == ["config.json", "w.bin"]


# The layout of a stock checkpoint

def test_the_tiny_checkpoint_has_the_expected_shapes(tiny_model, arrays):
    config = json.loads((tiny_model / "wav2vec2-large-xlsr-53" / "config.json").read_text())
    assert {name: array.shape for name, array in arrays.items()} == expected_shapes(config) | optional_shapes(config)


def test_the_released_checkpoint_has_429_tensors():
    required, optional = expected_shapes(XLSR_53), optional_shapes(XLSR_53)
    assert (len(required | optional), len(optional)) == (429, 8)
    convolution = "wav2vec2.encoder.pos_conv_embed.conv"
    assert required[f"{convolution}.weight_g"] == (1, 1, 128)
    assert required[f"{convolution}.weight_v"] == (1024, 64, 128)
    assert required["wav2vec2.feature_extractor.conv_layers.0.conv.weight"] == (512, 1, 10)
    assert required["wav2vec2.encoder.layers.23.feed_forward.output_dense.weight"] == (1024, 4096)
    assert optional["quantizer.codevectors"] == (1, 640, 384)
    assert optional["project_hid.weight"] == (768, 1024)


def test_a_long_list_of_misfits_stays_one_short_line(tmp_path):
    class Stub:
        path, info = tmp_path, {f"odd{i}\n": TensorInfo("F32", (i,)) for i in range(1000)}

    with pytest.raises(WeightsError, match="1000 tensors are unknown") as caught:
        check_layout(Stub, XLSR_53)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 800


# Finding and opening

def test_safetensors_is_preferred_and_pytorch_the_fallback(tmp_path):
    with pytest.raises(ModelError, match=rf"{tmp_path.name}.*cli\.download.*convert\.py"):
        find_weights(tmp_path)
    (tmp_path / "pytorch_model.bin").touch()
    assert find_weights(tmp_path).name == "pytorch_model.bin"
    (tmp_path / "model.safetensors").touch()
    assert find_weights(tmp_path) == tmp_path / "model.safetensors"


def test_the_reader_is_chosen_by_content_not_by_name(tmp_path, folder, arrays):
    source = save_bin(tmp_path / "a.safetensors", arrays)
    assert isinstance(open_weights(source), TorchBin)
    assert isinstance(open_weights(save_bin(tmp_path / "b.safetensors", arrays, legacy=True)), TorchBin)
    assert run("--pt_filename", source, "--sf_filename", tmp_path / "c.bin").returncode == 0
    assert isinstance(open_weights(tmp_path / "c.bin"), SafetensorsFile)


def test_a_git_lfs_pointer_is_recognised(tmp_path):
    (tmp_path / "w").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(WeightsError, match="git lfs pull"):
        open_weights(tmp_path / "w")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WeightsError):
        open_weights(tmp_path / "pipe")
