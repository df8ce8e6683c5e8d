"""Settings of a model directory: read completely, and refused by name when they are wrong."""

import json
import re
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
    (CODEC, SPEAKER, {"fsq_levels": [0] * 6}, "fsq_levels"),
    (CODEC, SPEAKER, {"fsq_levels": []}, "fsq_levels"),
    (CODEC, SPEAKER, {"fsq_levels": [4] * 1000}, "fsq_levels"),
    (CODEC, SPEAKER, {"x" * 10**4: 1}, "Unknown key 'xxx"),
    (CODEC, ["audio_tokenizer", "mel_params"], {"n_fft": 10**9}, "n_fft"),
    (CODEC, ["audio_tokenizer", "mel_params"], {"win_length": 2048}, "win_length"),
    (CODEC, ["audio_tokenizer", "mel_params"], {"hop_length": 0}, "hop_length"),
    (CODEC, ["audio_tokenizer", "mel_params"], {"mel_fmin": 9000}, "mel_fmin"),
    (CODEC, ["audio_tokenizer", "mel_params"], {"mel_fmax": 9000}, "mel_fmax"),
    (CODEC, ["audio_tokenizer", "mel_params"], {"mel_fmin": float("nan")}, "mel_fmin"),
    (CODEC, ["audio_tokenizer", "decoder"], {"rates": [0, 5, 4, 2]}, "rates"),
    (CODEC, ["audio_tokenizer", "decoder"], {"rates": [1000] * 60, "kernel_sizes": [1000] * 60},
     "samples_per_token"),
    (CODEC, ["audio_tokenizer", "encoder"], {"vocos_dim": "x" * 10**4}, "vocos_dim"),
    (CODEC, ["audio_tokenizer"], {"prenet": KeyError}, "prenet"),
    (CODEC, ["audio_tokenizer"], {"prenet": 7}, "prenet"),
    ("config.yaml", [], {"sample_rate": 24000}, "sample_rate"),
    ("config.yaml", [], {"sample_rat": 16000}, "sample_rat"),
    ("config.yaml", [], {"ref_segment_duration": 0}, "ref_segment_duration"),
    ("config.yaml", [], {"ref_segment_duration": 10**9}, "ref_segment_duration"),
    ("config.yaml", [], {"latent_hop_length": 0}, "latent_hop_length"),
    ("config.yaml", [], {"volume_normalize": "yes"}, "volume_normalize"),
    ("config.yaml", [], {"languages": ["x" * 10**4]}, "languages"),
    ("config.yaml", [], {"languages": ["en"] * 1000}, "languages"),
    ("config.yaml", [], {"base_config": "../outside.yaml"}, "base_config"),
    ("config.yaml", [], {"base_config": "LLM/../../outside.yaml"}, "base_config"),
    ("config.yaml", [], {"base_config": "/etc/passwd"}, "base_config"),
    ("config.yaml", [], {"base_config": ["a"]}, "base_config"),
    ("config.yaml", [], {"base_config": "a\0b"}, "base_config"),
    ("config.yaml", [], {"base_config": "x" * 10**4}, "base_config is 'xxx"),
    ("config.yaml", [], {"base_config": "BiCodec"}, "is a folder"),
    (LLM, [], {"tie_word_embeddings": "yes"}, "tie_word_embeddings"),
    (LLM, [], {"use_sliding_window": True}, "use_sliding_window"),
    (LLM, [], {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types"),
    (LLM, [], {"model_type": "qwen3"}, "model_type is 'qwen3'; only 'qwen2'"),
    (LLM, [], {"rope_scaling": ["yarn"]}, "rotary"),
    (LLM, [], {"rope_parameters": {"rope_type": ["x" * 10**6]}}, "rotary"),
    (LLM, [], {"eos_token_id": KeyError}, "eos_token_id"),
    (LLM, [], {"eos_token_id": []}, "eos_token_id"),
    (LLM, [], {"eos_token_id": "151645"}, "eos_token_id"),
    (LLM, [], {"num_hidden_layers": 0}, "num_hidden_layers"),
    (LLM, [], {"num_attention_heads": 0}, "num_attention_heads"),
    (LLM, [], {"num_key_value_heads": 10**30}, "num_key_value_heads"),
    (LLM, [], {"rms_norm_eps": 0}, "rms_norm_eps"),
    (LLM, [], {"rms_norm_eps": float("inf")}, "rms_norm_eps"),
    (LLM, [], {"rope_theta": float("nan")}, "rope_theta"),
    (LLM, [], {"hidden_size": True}, "hidden_size"),
    (LLM, [], {"hidden_size": 96.0}, "hidden_size"),
    (LLM, [], {"max_position_embeddings": 8}, "max_position_embeddings"),
    (LLM, [], {"hidden_act": "gelu"}, "hidden_act"),
    (LLM, [], {"rope_scaling": {"rope_type": "yarn", "factor": 4}}, "rotary"),
    (LLM, [], {"num_attention_heads": 5}, "heads"),
    (LLM, [], {"hidden_size": KeyError}, "hidden_size"),
    (FEATURES, [], {"num_hidden_layers": 16}, "17"),
    (FEATURES, [], {"num_hidden_layers": 2**31 - 1}, "num_hidden_layers"),
    (FEATURES, [], {"conv_dim": []}, "conv_dim"),
    (FEATURES, [], {"conv_dim": [32] * 3}, "differ in length"),
    (FEATURES, [], {"conv_stride": [0] * 7}, "conv_stride"),
    (FEATURES, [], {"conv_kernel": [10**9] * 7}, "conv_kernel"),
    (FEATURES, [], {"num_attention_heads": 5}, "num_attention_heads"),
    (FEATURES, [], {"num_conv_pos_embedding_groups": 7}, "num_conv_pos_embedding_groups"),
    (FEATURES, [], {"model_type": "hubert"}, "model_type"),
    (FEATURES, [], {"do_stable_layer_norm": 1}, "do_stable_layer_norm"),
    (FEATURES, [], {"do_stable_layer_norm": False}, "do_stable_layer_norm"),
    (PREPROCESSOR, [], {"do_normalize": False}, "do_normalize"),
])
def test_invalid_values_are_refused_by_name(model, file, path, values, word):
    change(model / file, *path, **values)
    with pytest.raises(ModelError, match=word) as error:
        read_config(model)
    assert str(error.value).isprintable() and len(str(error.value)) < 800


def test_keys_of_any_type(model):
    content = yaml.safe_load((model / CODEC).read_text())
    content["audio_tokenizer"]["prenet"] |= {3: 1, None: 2, True: 3, "b": 4}
    dump(content, model / CODEC)
    with pytest.raises(ModelError, match="Unknown key"):
        read_config(model)


QUANTIZED = [
    ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes, 4 bits"),
    ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes"),
    ({"quant_method": "gptq", "bits": 4}, "GPTQ, 4 bits"),
    ({"quant_method": "awq", "bits": 4}, "AWQ, 4 bits"),
    ({"quant_method": "compressed-tensors"}, "compressed-tensors"),
    ({"quant_method": "fp8"}, "FP8"),
    ({"quant_method": "x" * 10**4}, "xxx"),
    ({"bits": 10**100}, "quantization_config"),
    (["4bit"], "quantization_config"),
]


@pytest.mark.parametrize("settings, words", QUANTIZED)
def test_quantized_weights_are_named(model, settings, words):
    change(model / LLM, quantization_config=settings)
    with pytest.raises(ModelError, match=r"quantized .*float16") as error:
        read_config(model)
    assert words in str(error.value) and len(str(error.value)) < 400


def test_conversion_for_mlx_in_8_bits_is_named(model):
    change(model / LLM, quantization={"group_size": 64, "bits": 8})
    with pytest.raises(ModelError, match="MLX, 8 bits"):
        read_config(model)


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


def test_eos_token_of_other_tools(model):
    expected = read_config(model).llm.eos_token_id
    change(model / LLM, eos_token_id=[expected, 3])
    assert read_config(model).llm.eos_token_id == expected
    change(model / LLM, eos_token_id=None)
    (model / "LLM" / "generation_config.json").write_text('{"eos_token_id": [7]}')
    assert read_config(model).llm.eos_token_id == 7


@pytest.mark.parametrize("value, tied", [(KeyError, None), (True, True), (False, False)])
def test_tie_word_embeddings(model, value, tied):
    change(model / LLM, tie_word_embeddings=value)
    assert read_config(model).llm.tie_word_embeddings is tied


def test_processor_of_transformers_5(model):
    settings = json.loads((model / PREPROCESSOR).read_text())
    (model / PREPROCESSOR).unlink()
    file = model / "wav2vec2-large-xlsr-53" / "processor_config.json"
    file.write_text(json.dumps({"feature_extractor": settings}))
    read_config(model)
    file.write_text(json.dumps({"feature_extractor": {**settings, "sampling_rate": 8000}}))
    with pytest.raises(ModelError, match="sampling_rate is 8000"):
        read_config(model)


@pytest.mark.parametrize("file", ["config.yaml", CODEC, LLM, FEATURES, PREPROCESSOR])
def test_byte_order_mark(model, file):
    (model / file).write_bytes(b"\xef\xbb\xbf" + (model / file).read_bytes())
    read_config(model)


# Which folder to give

@pytest.mark.parametrize("part", ["LLM", "BiCodec", "wav2vec2-large-xlsr-53", "LLM/checkpoint-5"])
def test_part_of_a_model_directory(model, part):
    (model / part).mkdir(exist_ok=True)
    with pytest.raises(ModelError, match=rf"is a part of a model.* Give {re.escape(str(model))}\."):
        read_config(model / part)


@pytest.mark.parametrize("below", [
    "Spark-TTS-0.5B", "a/b/c", "models--a--b/snapshots/0123", "hub/models--a--b/snapshots/0123"])
def test_model_directory_further_down(model, tmp_path_factory, below):
    top = tmp_path_factory.mktemp("top")
    shutil.copytree(model, top / below)
    with pytest.raises(ModelError, match=f"Give {re.escape(str(top / below))}") as error:
        read_config(top)
    assert error.value.code == "wrong_model_dir"


def test_main_revision_of_a_cache_is_named(model, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache") / "models--a--b"
    for revision in ("0123", "4567", "89ab"):
        shutil.copytree(model, cache / "snapshots" / revision)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("4567")
    with pytest.raises(ModelError, match=r"snapshots/4567 \(or 2 others\)"):
        read_config(cache)


@pytest.mark.parametrize("name, words", [
    ("config.json", "language model alone"), ("adapter_config.json", "LoRA adapter.*Merge")])
def test_folder_of_a_language_model(tmp_path, name, words):
    (tmp_path / name).write_text("{}")
    with pytest.raises(ModelError, match=f"{words}.*LLM") as error:
        read_config(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name, words", [
    ("adapter_config.json", "LoRA adapter"), ("model-q8.gguf", "GGUF"),
    ("checkpoint-20/model.safetensors", "checkpoint-20")])
def test_language_model_of_another_kind(model, name, words):
    (model / LLM).unlink()
    (model / "LLM" / name).parent.mkdir(exist_ok=True)
    (model / "LLM" / name).touch()
    with pytest.raises(ModelError, match=words):
        read_config(model)


def test_search_for_a_model_directory_is_bounded(tmp_path):
    for n in range(600):
        (tmp_path / f"a{n}" / "b").mkdir(parents=True)
    with pytest.raises(ModelError, match=r"config\.yaml is missing"):
        read_config(tmp_path)


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
