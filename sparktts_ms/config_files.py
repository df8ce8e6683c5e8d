"""Reading the settings of a model directory.

BiCodec's YAML is validated completely: an unknown key is an error, except those that only training
reads. The `config.json` files of Hugging Face gain keys with every release of transformers, so only
the keys that change the result are read there, and unsupported values are refused.
Source: SparkAudio/Spark-TTS `BiCodec/config.yaml`, `LLM/config.json`,
`wav2vec2-large-xlsr-53/config.json`.
"""

import dataclasses
import math
from operator import attrgetter
from pathlib import Path
from typing import Any

from sparktts_ms import config
from sparktts_ms.errors import ModelError
from sparktts_ms.files import read_mapping

# Keys that only training reads, or that upstream itself ignores.
IGNORED_KEYS = {
    "quantizer": "commitment codebook_loss_weight threshold_ema_dead_code use_l2_normlize".split(),
    "config.yaml": "highpass_cutoff_freq segment_duration max_val_duration base_config".split(),
}
# Field of BiCodecConfig -> section of BiCodec/config.yaml and what it holds.
BICODEC_SECTIONS = {
    "mel": ("mel_params", config.MelConfig),
    "encoder": ("encoder", config.FeatureStackConfig),
    "decoder": ("decoder", config.WaveGeneratorConfig),
    "quantizer": ("quantizer", config.QuantizerConfig),
    "speaker_encoder": ("speaker_encoder", config.SpeakerEncoderConfig),
    "prenet": ("prenet", config.FeatureStackConfig),
}
# Sizes and rates that must be equal where two parts meet.
INTERFACES = (
    ("wav2vec2.hidden_size", "bicodec.encoder.input_channels"),
    ("bicodec.encoder.out_channels", "bicodec.quantizer.input_dim"),
    ("bicodec.quantizer.input_dim", "bicodec.prenet.input_channels"),
    ("bicodec.prenet.out_channels", "bicodec.decoder.input_channel"),
    ("bicodec.speaker_encoder.out_dim", "bicodec.decoder.input_channel"),
    ("bicodec.speaker_encoder.out_dim", "bicodec.prenet.condition_dim"),
    ("bicodec.speaker_encoder.input_dim", "bicodec.mel.num_mels"),
    ("bicodec.decoder.samples_per_token", "audio.latent_hop_length"),
    ("bicodec.mel.sample_rate", "audio.sample_rate"),
)
TYPE_NAMES = {
    "int": "whole number", "float": "number", "bool": "true or false",
    "tuple[int, ...]": "list of whole numbers"}


def read_config(model_dir: Path) -> config.ModelConfig:
    """Read every settings file of a model directory; ModelError names what is wrong."""
    audio = _read_audio(model_dir / "config.yaml")
    languages = _languages(audio.pop("languages", None))
    model = config.ModelConfig(
        audio=_build(config.AudioConfig, audio, "config.yaml"),
        bicodec=_read_bicodec(model_dir / "BiCodec" / "config.yaml"),
        wav2vec2=_read_wav2vec2(model_dir / "wav2vec2-large-xlsr-53"),
        llm=_read_qwen2(model_dir / "LLM" / "config.json"),
        languages=languages,
    )
    for left, right in INTERFACES:
        values = (attrgetter(left)(model), attrgetter(right)(model))
        if values[0] != values[1]:
            raise ModelError("The model directory contradicts itself: "
                             f"{left} is {values[0]}, but {right} is {values[1]}.")
    return model


def _read_audio(file: Path, depth: int = 0) -> dict[str, Any]:
    """The values of config.yaml over those of the file that its base_config names."""
    values = read_mapping(file)
    base = values.get("base_config")
    if base is None:
        return values
    if depth > 8:
        raise ModelError("{subject}: base_config refers to itself.", subject=file)
    return {**_read_audio(file.parent / str(base), depth + 1), **values}


def _languages(codes: Any) -> tuple[str, ...] | None:
    """The languages that config.yaml states; a key of this project, which upstream ignores."""
    if codes is None:
        return None
    if not isinstance(codes, list) or not codes or not all(isinstance(c, str) for c in codes):
        raise ModelError(f"languages in config.yaml is {codes!r}; it should be like [en, zh].")
    return tuple(codes)


def _read_bicodec(file: Path) -> config.BiCodecConfig:
    sections = _section(file, read_mapping(file), "audio_tokenizer")
    parts = {}
    for field, (name, record) in BICODEC_SECTIONS.items():
        parts[field] = _build(record, _section(file, sections, name), name)
    return config.BiCodecConfig(**parts)


def _section(file: Path, values: dict[str, Any], name: str) -> dict[str, Any]:
    section = values.get(name)
    if not isinstance(section, dict):
        raise ModelError(f"{{subject}}: section {name} is missing.", subject=file)
    return section


def _read_wav2vec2(folder: Path) -> config.Wav2Vec2Config:
    file = folder / "config.json"
    values = read_mapping(file)
    _require(file, values, do_stable_layer_norm=True, feat_extract_norm="layer", conv_bias=True,
             feat_extract_activation="gelu", hidden_act="gelu")
    preprocessor = folder / "preprocessor_config.json"
    _require(preprocessor, read_mapping(preprocessor), do_normalize=True, sampling_rate=16000)
    return _build(config.Wav2Vec2Config, values, str(file), ignore_unknown=True)


def _read_qwen2(file: Path) -> config.Qwen2Config:
    values = read_mapping(file)
    _require(file, values, hidden_act="silu", tie_word_embeddings=True, use_sliding_window=False)
    # transformers 5 nests rope_theta.
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    if rope.get("rope_type", rope.get("type", "default")) != "default":
        problem = f"{{subject}}: scaled rotary positions {rope} are not supported."
        raise ModelError(problem, subject=file)
    values.setdefault("rope_theta", rope.get("rope_theta", 1e6))
    llm = _build(config.Qwen2Config, values, str(file), ignore_unknown=True)
    heads = llm.num_attention_heads
    if llm.hidden_size % heads or heads % llm.num_key_value_heads:
        problem = "hidden_size or num_attention_heads is no multiple of the number of heads."
        raise ModelError(f"{{subject}}: {problem}", subject=file)
    if values.get("head_dim") not in (None, llm.head_dim):
        problem = f"head_dim {values['head_dim']} is not hidden_size / num_attention_heads."
        raise ModelError(f"{{subject}}: {problem}", subject=file)
    return llm


def _require(file: Path, values: dict[str, Any], **expected: Any) -> None:
    for key, value in expected.items():
        if values.get(key, value) != value:
            problem = f"{{subject}}: {key} is {values[key]!r}; only {value!r} is supported."
            raise ModelError(problem, subject=file)


def _build(record: type, values: dict[str, Any], source: str, ignore_unknown: bool = False):
    """Make `record` from a mapping; its annotations give the type of each value."""
    fields = {field.name: field for field in dataclasses.fields(record)}
    unknown = (values.keys() - fields.keys()).difference(IGNORED_KEYS.get(source, ()))
    if unknown and not ignore_unknown:
        known = ", ".join(sorted(fields))
        raise ModelError(f"Unknown key {sorted(unknown)[0]!r} in {source}; known are {known}.")
    arguments = {}
    for name, field in fields.items():
        if name in values:
            arguments[name] = _convert(values[name], str(field.type), source, name)
        elif field.default is dataclasses.MISSING:
            raise ModelError(f"Key {name!r} is missing in {source}.")
    return record(**arguments)


def _convert(value: Any, type_name: str, source: str, name: str) -> Any:
    if value is None and "None" in type_name:
        return None
    type_name = type_name.split(" | ")[0]
    is_number = type(value) in (int, float) and math.isfinite(value)
    if type_name == "int" and type(value) is int and 0 <= value < 2**31:
        return value
    if type_name == "float" and is_number:
        return float(value)
    if type_name == "bool" and isinstance(value, bool):
        return value
    is_list = isinstance(value, list) and all(type(v) is int and 0 < v < 2**31 for v in value)
    if type_name == "tuple[int, ...]" and is_list:
        return tuple(value)
    expected = TYPE_NAMES[type_name]
    raise ModelError(f"{name} in {source} is {value!r}; it should be a {expected}.")
