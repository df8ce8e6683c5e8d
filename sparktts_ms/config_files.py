"""Reading a model directory's settings.

BiCodec's YAML is ours to understand completely: an unknown key is an error, and keys that only training reads are
named here. The two Hugging Face `config.json` files gain bookkeeping keys with every release of transformers, so there
only the keys that change the result are read, and a value that cannot be honoured is refused.
Source: SparkAudio/Spark-TTS `BiCodec/config.yaml`, `LLM/config.json`, `wav2vec2-large-xlsr-53/config.json`.
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import yaml

from sparktts_ms.config import (
    AudioConfig,
    BiCodecConfig,
    FeatureStackConfig,
    MelConfig,
    ModelConfig,
    QuantizerConfig,
    Qwen2Config,
    SpeakerEncoderConfig,
    Wav2Vec2Config,
    WaveGeneratorConfig,
)
from sparktts_ms.errors import ModelError

# Keys of BiCodec/config.yaml and config.yaml that only training reads, or that upstream itself swallows.
TRAINING_ONLY = {
    "quantizer": {"commitment", "codebook_loss_weight", "threshold_ema_dead_code", "use_l2_normlize"},
    "config.yaml": {"highpass_cutoff_freq", "segment_duration", "max_val_duration", "base_config"},
}


def read_config(model_dir: Path) -> ModelConfig:
    """Read every config file of a model directory; ModelError names the file and the key that is wrong."""
    codec_file = model_dir / "BiCodec" / "config.yaml"
    codec = _read(codec_file)
    sections = _section(codec_file, "", codec, "audio_tokenizer")
    sections = {name: _section(codec_file, "audio_tokenizer.", sections, name) for name in
                ("mel_params", "encoder", "decoder", "quantizer", "speaker_encoder", "prenet")}
    config = ModelConfig(
        audio=_build(AudioConfig, _read_audio(model_dir / "config.yaml"), "config.yaml"),
        bicodec=BiCodecConfig(
            mel=_build(MelConfig, sections["mel_params"], "mel_params"),
            encoder=_build(FeatureStackConfig, sections["encoder"], "encoder"),
            decoder=_build(WaveGeneratorConfig, sections["decoder"], "decoder"),
            quantizer=_build(QuantizerConfig, sections["quantizer"], "quantizer"),
            speaker_encoder=_build(SpeakerEncoderConfig, sections["speaker_encoder"], "speaker_encoder"),
            prenet=_build(FeatureStackConfig, sections["prenet"], "prenet"),
        ),
        wav2vec2=_read_wav2vec2(model_dir / "wav2vec2-large-xlsr-53"),
        llm=_read_qwen2(model_dir / "LLM" / "config.json"),
    )
    _check_interfaces(config)
    return config


def _check_interfaces(config: ModelConfig) -> None:
    """Widths where two parts meet, and the one rate they share, must agree."""
    codec, speaker = config.bicodec, config.bicodec.speaker_encoder
    pairs = {
        "wav2vec2 hidden_size and encoder.input_channels": (config.wav2vec2.hidden_size, codec.encoder.input_channels),
        "encoder.out_channels and quantizer.input_dim": (codec.encoder.out_channels, codec.quantizer.input_dim),
        "quantizer.input_dim and prenet.input_channels": (codec.quantizer.input_dim, codec.prenet.input_channels),
        "prenet.out_channels and decoder.input_channel": (codec.prenet.out_channels, codec.decoder.input_channel),
        "speaker_encoder.out_dim and decoder.input_channel": (speaker.out_dim, codec.decoder.input_channel),
        "speaker_encoder.out_dim and prenet.condition_dim": (speaker.out_dim, codec.prenet.condition_dim),
        "mel_params.num_mels and speaker_encoder.input_dim": (codec.mel.num_mels, speaker.input_dim),
        "latent_hop_length and the product of decoder.rates": (
            config.audio.latent_hop_length, codec.decoder.samples_per_token),
        "sample_rate and mel_params.sample_rate": (config.audio.sample_rate, codec.mel.sample_rate),
    }
    for names, (left, right) in pairs.items():
        if left != right:
            raise ModelError(f"The model directory contradicts itself: {names} are {left} and {right}.")


def _read_audio(file: Path, depth: int = 0) -> dict[str, Any]:
    values = _read(file)
    base = values.get("base_config")
    if base is None:
        return values
    if depth > 8:
        raise ModelError(f"{file}: base_config refers to itself.")
    return {**_read_audio(file.parent / str(base), depth + 1), **values}


def _read_wav2vec2(folder: Path) -> Wav2Vec2Config:
    file = folder / "config.json"
    values = _read(file)
    _require(file, values, do_stable_layer_norm=True, feat_extract_norm="layer", conv_bias=True,
             feat_extract_activation="gelu", hidden_act="gelu")
    features = _read(folder / "preprocessor_config.json")
    _require(folder / "preprocessor_config.json", features, do_normalize=True, sampling_rate=16000)
    return _build(Wav2Vec2Config, values, str(file), others_ignored=True)


def _read_qwen2(file: Path) -> Qwen2Config:
    values = _read(file)
    _require(file, values, hidden_act="silu", tie_word_embeddings=True, use_sliding_window=False)
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}       # transformers 5 nests rope_theta
    if rope.get("rope_type", rope.get("type", "default")) != "default":
        raise ModelError(f"{file}: scaled rotary positions {rope} are not supported.")
    values.setdefault("rope_theta", rope.get("rope_theta", 1e6))
    config = _build(Qwen2Config, values, str(file), others_ignored=True)
    if config.hidden_size % config.num_attention_heads or config.num_attention_heads % config.num_key_value_heads:
        raise ModelError(f"{file}: the hidden size is no multiple of the heads, or the heads of the key/value heads.")
    if values.get("head_dim") not in (None, config.head_dim):
        raise ModelError(f"{file}: head_dim {values['head_dim']} is not hidden_size / num_attention_heads.")
    return config


def _require(file: Path, values: dict[str, Any], **expected: Any) -> None:
    for key, value in expected.items():
        if values.get(key, value) != value:
            raise ModelError(f"{file}: {key} is {values[key]!r}; only {value!r} is supported.")


def _section(file: Path, prefix: str, values: dict[str, Any], name: str) -> dict[str, Any]:
    section = values.get(name)
    if not isinstance(section, dict):
        raise ModelError(f"{file}: section {prefix}{name} is missing.")
    return section


def _build(record: type, values: dict[str, Any], where: str, others_ignored: bool = False):
    """Make `record` from a mapping; its annotations say the type of each value."""
    fields = {f.name: f for f in dataclasses.fields(record)}
    unknown = values.keys() - fields.keys() - TRAINING_ONLY.get(where, set())
    if unknown and not others_ignored:
        raise ModelError(f"Unknown key {sorted(unknown)[0]!r} in {where}; known are {', '.join(sorted(fields))}.")
    missing = [name for name, f in fields.items() if f.default is dataclasses.MISSING and name not in values]
    if missing:
        raise ModelError(f"Key {missing[0]!r} is missing in {where}.")
    given = {name: f for name, f in fields.items() if name in values}
    return record(**{name: _value(values[name], str(f.type), where, name) for name, f in given.items()})


def _value(value: Any, kind: str, where: str, name: str) -> Any:
    if value is None and "None" in kind:
        return None
    kind = kind.split(" | ")[0]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if kind == "int" and isinstance(value, int) and is_number and 0 <= value < 2**31:
        return value
    if kind == "float" and is_number:
        return float(value)
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "tuple[int, ...]" and isinstance(value, list) and all(type(v) is int and 0 < v < 2**31 for v in value):
        return tuple(value)
    words = {"int": "whole number", "float": "number", "bool": "true or false", "tuple[int, ...]": "list of whole numbers"}
    raise ModelError(f"{name} in {where} is {value!r}; it should be a {words[kind]}.")


def _read(file: Path) -> dict[str, Any]:
    """Parse a YAML or JSON mapping."""
    try:
        text = file.read_text(encoding="utf-8")
        values = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except FileNotFoundError:
        raise ModelError(f"{file} is missing. `python -m cli.download` fetches a whole model directory.") from None
    except (OSError, UnicodeDecodeError, ValueError, RecursionError, yaml.YAMLError) as problem:
        raise ModelError(f"{file} cannot be read: {str(problem).splitlines()[0]}") from None
    if not isinstance(values, dict):
        raise ModelError(f"{file} holds no settings.")
    return values
