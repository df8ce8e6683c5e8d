"""Sizes of a model, read from its directory as frozen records.

BiCodec's YAML is ours to understand completely: an unknown key is an error, and keys that only training reads are
named here. The two Hugging Face `config.json` files gain bookkeeping keys with every release of transformers, so there
only the keys that change the result are read, and a value that cannot be honoured is refused.
Source: SparkAudio/Spark-TTS `BiCodec/config.yaml`, `LLM/config.json`, `wav2vec2-large-xlsr-53/config.json`.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sparktts_ms.errors import ModelError


@dataclass(frozen=True)
class MelConfig:
    """Magnitude mel spectrogram of the speaker path; lengths in samples, frequencies in Hz."""

    sample_rate: int
    n_fft: int
    win_length: int
    hop_length: int
    num_mels: int
    mel_fmin: float = 0.0
    mel_fmax: float | None = None


@dataclass(frozen=True)
class BackboneConfig:
    """A Vocos backbone: widths of its input, its stream and its feed-forward part, and the number of blocks."""

    input_channels: int
    dim: int
    intermediate_dim: int
    layers: int
    condition_dim: int | None = None


@dataclass(frozen=True)
class FeatureStackConfig:
    """The semantic encoder or the prenet: backbones with identity-rate sampling stages, and an output projection."""

    input_channels: int
    vocos_dim: int
    vocos_intermediate_dim: int
    vocos_num_layers: int
    out_channels: int
    condition_dim: int | None = None
    sample_ratios: tuple[int, ...] = (1, 1)
    use_tanh_at_final: bool = False

    def __post_init__(self):
        if any(ratio != 1 for ratio in self.sample_ratios):
            raise ModelError(f"sample_ratios {list(self.sample_ratios)} in BiCodec/config.yaml: only 1 is supported.")

    def backbone(self, input_channels: int, layers: int, conditioned: bool = False) -> BackboneConfig:
        return BackboneConfig(input_channels, self.vocos_dim, self.vocos_intermediate_dim, layers,
                              self.condition_dim if conditioned else None)


@dataclass(frozen=True)
class WaveGeneratorConfig:
    """HiFi-GAN-like generator: first width, and rate and kernel of each upsampling stage."""

    input_channel: int
    channels: int
    rates: tuple[int, ...]
    kernel_sizes: tuple[int, ...]

    def __post_init__(self):
        if len(self.rates) != len(self.kernel_sizes) or not self.rates:
            raise ModelError("decoder.rates and decoder.kernel_sizes in BiCodec/config.yaml differ in length.")
        if any(k < r or (k - r) % 2 for r, k in zip(self.rates, self.kernel_sizes, strict=True)):
            raise ModelError("decoder.kernel_sizes in BiCodec/config.yaml: each minus its rate must be even and >= 0.")

    @property
    def samples_per_token(self) -> int:
        return math.prod(self.rates)


@dataclass(frozen=True)
class QuantizerConfig:
    """The semantic codebook."""

    input_dim: int
    codebook_size: int
    codebook_dim: int


@dataclass(frozen=True)
class SpeakerEncoderConfig:
    """ECAPA-TDNN, perceiver resampler and finite scalar quantizer of the voice."""

    input_dim: int
    out_dim: int
    latent_dim: int
    token_num: int
    fsq_levels: tuple[int, ...]
    fsq_num_quantizers: int = 1
    ecapa_channels: int = 512       # hard-coded upstream; small checkpoints carry it as a key of their own

    def __post_init__(self):
        if self.fsq_num_quantizers != 1:
            raise ModelError("fsq_num_quantizers in BiCodec/config.yaml: only one residual quantizer is supported.")

    @property
    def codebook_size(self) -> int:
        return math.prod(self.fsq_levels)


@dataclass(frozen=True)
class BiCodecConfig:
    mel: MelConfig
    encoder: FeatureStackConfig
    decoder: WaveGeneratorConfig
    quantizer: QuantizerConfig
    speaker_encoder: SpeakerEncoderConfig
    prenet: FeatureStackConfig


@dataclass(frozen=True)
class AudioConfig:
    """What inference reads of the top-level config.yaml; seconds and samples per second."""

    sample_rate: int
    latent_hop_length: int
    ref_segment_duration: float
    volume_normalize: bool = True

    @property
    def reference_samples(self) -> int:
        """Length of the clip that defines the voice: whole hops."""
        hop = self.latent_hop_length
        return int(self.sample_rate * self.ref_segment_duration) // hop * hop


@dataclass(frozen=True)
class Wav2Vec2Config:
    """The part of wav2vec 2.0 that inference runs: the convolutions and the first `used_layers` blocks."""

    conv_dim: tuple[int, ...]
    conv_kernel: tuple[int, ...]
    conv_stride: tuple[int, ...]
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_conv_pos_embeddings: int
    num_conv_pos_embedding_groups: int
    layer_norm_eps: float = 1e-5
    mixed_layers: tuple[int, ...] = (11, 14, 16)    # fixed upstream in BiCodecTokenizer

    def __post_init__(self):
        if self.num_hidden_layers <= max(self.mixed_layers):
            raise ModelError(f"wav2vec2 has {self.num_hidden_layers} layers; Spark-TTS reads hidden state "
                             f"{max(self.mixed_layers)}, so it needs at least {max(self.mixed_layers) + 1}.")

    @property
    def used_layers(self) -> int:
        return max(self.mixed_layers)

    def frames(self, samples: int) -> int:
        """How many 50 Hz frames `samples` at 16 kHz give; 0 if too short."""
        for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True):
            if samples < kernel:
                return 0
            samples = (samples - kernel) // stride + 1
        return samples

    def samples(self, frames: int) -> int:
        """The smallest number of samples that gives `frames` frames."""
        for kernel, stride in zip(reversed(self.conv_kernel), reversed(self.conv_stride), strict=True):
            frames = (frames - 1) * stride + kernel
        return frames


@dataclass(frozen=True)
class Qwen2Config:
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    vocab_size: int
    eos_token_id: int
    max_position_embeddings: int
    rms_norm_eps: float = 1e-6
    rope_theta: float = 1e6

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads


@dataclass(frozen=True)
class ModelConfig:
    """Everything a model directory says about sizes."""

    audio: AudioConfig
    bicodec: BiCodecConfig
    wav2vec2: Wav2Vec2Config
    llm: Qwen2Config


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
