"""Settings of a model directory: read completely, and refused by name when they are wrong."""

import json
import shutil

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparktts_ms.config import ModelConfig
from sparktts_ms.config_files import read_config
from sparktts_ms.errors import ModelError
from tests.helpers import examples


@pytest.fixture
def model(tiny_model, tmp_path):
    """The settings of the generated model, without its weights."""
    for file in tiny_model.rglob("*"):
        if file.suffix in (".yaml", ".json") and file.stat().st_size < 100_000:
            target = tmp_path / file.relative_to(tiny_model)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    return tmp_path


def dump(content, file):
    is_json = file.suffix == ".json"
    file.write_text(json.dumps(content) if is_json else yaml.safe_dump(content))


def change(file, *path, **values):
    """Set values in a section of a settings file; KeyError deletes the key."""
    load = json.loads if file.suffix == ".json" else yaml.safe_load
    content = load(file.read_text())
    section = content
    for key in path:
        section = section[key]
    for key, value in values.items():
        if value is KeyError:
            del section[key]
        else:
            section[key] = value
    dump(content, file)


def test_read_config(model):
    config = read_config(model)
    assert config.llm.hidden_size == 96
    assert config.llm.head_dim == 16
    assert config.wav2vec2.used_layers == 16
    assert config.bicodec.decoder.samples_per_token == 320
    assert config.bicodec.speaker_encoder.codebook_size == 4096
    assert config.audio.reference_samples == 96000


def test_languages_are_optional(model):
    assert read_config(model).languages is None
    change(model / "config.yaml", languages=["en", "zh"])
    assert read_config(model).languages == ("en", "zh")
    for wrong in ("en", [], [3]):
        change(model / "config.yaml", languages=wrong)
        with pytest.raises(ModelError, match="languages"):
            read_config(model)


def test_frames_and_samples_are_inverse(model):
    config = read_config(model).wav2vec2
    frames = {0: 0, 399: 0, 400: 1, 719: 1, 720: 2, 16000: 49, 48000: 149, 96000: 299}
    assert {samples: config.frames(samples) for samples in frames} == frames
    for frames in (1, 2, 49, 1500):
        assert config.frames(config.samples(frames)) == frames
        assert config.frames(config.samples(frames + 1) - 1) == frames


CODEC = "BiCodec/config.yaml"
SPEAKER = ["audio_tokenizer", "speaker_encoder"]
LLM = "LLM/config.json"
FEATURES = "wav2vec2-large-xlsr-53/config.json"
PREPROCESSOR = "wav2vec2-large-xlsr-53/preprocessor_config.json"


@pytest.mark.parametrize("file, path, values, word", [
    (CODEC, ["audio_tokenizer", "encoder"], {"vocos_dimm": 3}, "vocos_dimm"),
    (CODEC, ["audio_tokenizer", "encoder"], {"vocos_dim": KeyError}, "vocos_dim"),
    (CODEC, ["audio_tokenizer", "encoder"], {"vocos_dim": "wide"}, "vocos_dim"),
    (CODEC, ["audio_tokenizer", "encoder"], {"vocos_dim": -4}, "vocos_dim"),
    (CODEC, ["audio_tokenizer", "encoder"], {"sample_ratios": [2, 1]}, "sample_ratios"),
    (CODEC, ["audio_tokenizer", "encoder"], {"out_channels": 41}, "encoder.out_channels"),
    (CODEC, ["audio_tokenizer", "decoder"], {"rates": [8, 5, 4]}, "rates"),
    (CODEC, ["audio_tokenizer", "decoder"], {"kernel_sizes": [16, 10, 8, 4]}, "kernel_sizes"),
    (CODEC, SPEAKER, {"fsq_num_quantizers": 2}, "fsq_num_quantizers"),
    (CODEC, ["audio_tokenizer"], {"prenet": KeyError}, "prenet"),
    (CODEC, ["audio_tokenizer"], {"prenet": 7}, "prenet"),
    ("config.yaml", [], {"sample_rate": 24000}, "sample_rate"),
    ("config.yaml", [], {"sample_rat": 16000}, "sample_rat"),
    (LLM, [], {"tie_word_embeddings": "yes"}, "tie_word_embeddings"),
    (LLM, [], {"use_sliding_window": True}, "use_sliding_window"),
    (LLM, [], {"hidden_act": "gelu"}, "hidden_act"),
    (LLM, [], {"rope_scaling": {"rope_type": "yarn", "factor": 4}}, "rotary"),
    (LLM, [], {"num_attention_heads": 5}, "heads"),
    (LLM, [], {"hidden_size": KeyError}, "hidden_size"),
    (FEATURES, [], {"num_hidden_layers": 16}, "17"),
    (FEATURES, [], {"do_stable_layer_norm": False}, "do_stable_layer_norm"),
    (PREPROCESSOR, [], {"do_normalize": False}, "do_normalize"),
])
def test_invalid_values_are_refused_by_name(model, file, path, values, word):
    change(model / file, *path, **values)
    with pytest.raises(ModelError, match=word) as error:
        read_config(model)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("file", ["config.yaml", CODEC, LLM, FEATURES])
def test_missing_and_malformed_files_are_named(model, file):
    (model / file).write_text("{ not: [settings")
    with pytest.raises(ModelError, match="config"):
        read_config(model)
    (model / file).unlink()
    with pytest.raises(ModelError, match="missing"):
        read_config(model)


def test_base_config_is_overridden(model):
    (model / "base.yaml").write_text("sample_rate: 8000\nlatent_hop_length: 320\n")
    change(model / "config.yaml", base_config="base.yaml", latent_hop_length=KeyError)
    assert read_config(model).audio.sample_rate == 16000
    change(model / "config.yaml", base_config="config.yaml")
    with pytest.raises(ModelError, match="base_config"):
        read_config(model)


def test_rope_parameters_of_transformers_5(model):
    rope = {"rope_type": "default", "rope_theta": 5e5}
    change(model / LLM, rope_theta=KeyError, rope_parameters=rope)
    assert read_config(model).llm.rope_theta == 5e5


def nested(values):
    return st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=5), values, max_size=3)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(SCALARS, nested, max_leaves=6)


@settings(max_examples=examples(60),
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_gives_a_config_or_an_error_of_one_line(model, data):
    file = model / data.draw(st.sampled_from(["config.yaml", CODEC, LLM, FEATURES]))
    before = file.read_text()
    content = yaml.safe_load(before)
    section = content
    key = data.draw(st.sampled_from(sorted(content)))
    while isinstance(section[key], dict) and data.draw(st.integers(0, 5)):
        section = section[key]
        key = data.draw(st.sampled_from(sorted(section)))
    section[key] = data.draw(VALUES)
    try:
        dump(content, file)
        assert isinstance(read_config(model), ModelConfig)
    except ModelError as error:
        assert "\n" not in str(error)
    finally:
        file.write_text(before)
