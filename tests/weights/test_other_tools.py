"""Folders that transformers, peft, Trainer and PyTorch wrote are read, or named in one line.

`make test-checkpoints` makes the environment that these tests write them with; without it they are
skipped, and the imitations of the layouts in the other tests of this folder remain.
"""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sparktts_ms.config_files import read_config
from sparktts_ms.errors import ModelError, WeightsError
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.qwen2.language_model import LanguageModel
from sparktts_ms.runtime import Runtime
from sparktts_ms.wav2vec2.features import FeatureExtractor
from sparktts_ms.weights.checkpoint import Checkpoint, find_weights, fuse_weight_norm
from tests.helpers import ROOT, SingleSequence, assert_close

PYTHON = ROOT / ".venv-checkpoints" / "bin" / "python"
WRITER = ROOT / "tests" / "weights" / "writers" / "write_checkpoints.py"
TOKENS = np.array([3, 60, 7, 41, 200, 12, 99, 5])       # as in the writer
READ = ("plain", "sharded", "bfloat16", "float16 shards", "bare", "untied equal",
        "untied different", "zip", "legacy", "compiled", "data parallel", "wrapped", "lightning",
        "parameters", "frequencies", "float8", "float8 bin", "merged", "peft prefix", "unsloth",
        "trainer")
REFUSED = {
    "adapter": ["LoRA adapter", "adapter_config.json", "merge"],
    "adapter with head": ["LoRA adapter"],
    "unmerged": ["LoRA adapter", "pytorch_model.bin"],
    "unmerged named": ["LoRA adapter"],
    "module": ["Qwen2ForCausalLM", "state_dict()"],
    "4 bits": ["quantized (bitsandbytes, 4 bits)", "float16"],
    "8 bits": ["quantized (bitsandbytes", "float16"],
    "gguf": ["GGUF", "model-f16.gguf"],
    "trainer folder": ["checkpoint-2", "Move the files"],
}

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(not PYTHON.exists(), reason="see make test-checkpoints")]


@pytest.fixture(scope="module")
def written(tiny_model, tmp_path_factory):
    """The folder that the writer made."""
    out = tmp_path_factory.mktemp("checkpoints")
    done = subprocess.run([PYTHON, WRITER, tiny_model, out], capture_output=True, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    return out


@pytest.fixture(scope="module")
def expected(written):
    with np.load(written / "expected.npz") as arrays:
        return dict(arrays)


@pytest.fixture
def runtime():
    return Runtime.start("CPU", mode="pynative")


def with_part(tiny_model: Path, folder: Path, name: str, part: Path) -> Path:
    """A model directory in which `part` is the part `name`, and all parts are links."""
    folder.mkdir()
    shutil.copy(tiny_model / "config.yaml", folder)
    for path in (tiny_model / "BiCodec", tiny_model / "LLM", tiny_model / "wav2vec2-large-xlsr-53"):
        (folder / path.name).symlink_to(part if path.name == name else path)
    return folder


def logits(llm_folder: Path, model_dir: Path, runtime: Runtime) -> np.ndarray:
    """Our logits of TOKENS, [8, V]."""
    config = read_config(model_dir).llm
    model = LanguageModel(find_weights(llm_folder), config, runtime)
    sequence = SingleSequence(model, model.head(np.arange(config.vocab_size)))
    first = sequence.prefill(TOKENS)
    return np.concatenate([first, sequence.decode_step(int(TOKENS[-1]))[None]])


@pytest.mark.parametrize("name", READ)
def test_logits_equal_torch(written, expected, tiny_model, tmp_path, runtime, name):
    model_dir = with_part(tiny_model, tmp_path / "model", "LLM", written / name / "LLM")
    ours = logits(model_dir / "LLM", model_dir, runtime)
    assert_close(ours, expected[name], 1e-4)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_whole_model_is_named(written, tiny_model, tmp_path, runtime, name):
    model_dir = with_part(tiny_model, tmp_path / "model", "LLM", written / name / "LLM")
    with pytest.raises(ModelError) as error:
        logits(model_dir / "LLM", model_dir, runtime)
    assert all(word in str(error.value) for word in REFUSED[name]), str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["4 bits", "8 bits"])
def test_quantized_weights_are_named_without_their_configuration(written, tiny_model, name):
    with pytest.raises(WeightsError, match="bitsandbytes"):
        LanguageModel(find_weights(written / name / "LLM"), read_config(tiny_model).llm,
                      Runtime.start("CPU", mode="pynative"))


def test_head_of_a_tied_configuration(written, expected, tiny_model, tmp_path, runtime, caplog):
    """transformers 4, which upstream pins, uses the embedding; 5 uses the head in the file."""
    model_dir = with_part(tiny_model, tmp_path / "model", "LLM", written / "tied different" / "LLM")
    ours = logits(model_dir / "LLM", model_dir, runtime)
    assert "tie_word_embeddings" in caplog.text
    assert_close(ours, expected["plain"], 1e-4)
    assert np.abs(expected["tied different"] - expected["plain"]).max() > 1


def test_tokenizer_of_transformers_5(written, tiny_model):
    files = (written / "plain" / "LLM", tiny_model / "LLM")
    again, original = (Vocabulary(folder / "tokenizer.json", 1502, 15040) for folder in files)
    for text in ("Hello, world.", "你好，世界。", "1, 2; <|end_content|>"):
        assert again.encode(text) == original.encode(text)
    assert again.bicodec_semantic == original.bicodec_semantic


@pytest.mark.parametrize("name", ["encoder", "encoder bare", "encoder bin", "encoder bare bin"])
def test_features_equal_torch(written, expected, tiny_model, tmp_path, runtime, name):
    part = written / name / "wav2vec2"
    if not (part / "config.json").exists():
        for file in (written / name.removesuffix(" bin") / "wav2vec2").glob("*.json"):
            shutil.copy(file, part)
    model_dir = with_part(tiny_model, tmp_path / "model", "wav2vec2-large-xlsr-53", part)
    config = read_config(model_dir).wav2vec2
    extract = FeatureExtractor(find_weights(part), config, runtime)
    samples = np.load(written / "samples.npy")
    assert_close(extract(samples), expected[name], 1e-3)


def test_weight_norm_equals_torch(written, expected):
    weights = Checkpoint(written / "weight norm" / "model.safetensors")
    for name, shape in (("conv", (5, 3, 7)), ("up", (4, 6, 3))):
        fused = fuse_weight_norm(weights.at(name), *shape)
        np.testing.assert_allclose(fused, expected[f"weight norm {name}"], rtol=1e-5)
