"""The sizes of a model as frozen dataclasses; values that follow from others are properties.

`config_files.py` reads them from a model directory. All raise ModelError for unsupported values.
"""

from __future__ import annotations  # config_files.py reads the annotations as text

import math
from dataclasses import dataclass

from sparktts_ms.errors import ModelError


@dataclass(frozen=True)
class MelConfig:
    """Magnitude mel spectrogram of the speaker encoder; lengths in samples, frequencies in Hz."""

    sample_rate: int
    n_fft: int
    win_length: int
    hop_length: int
    num_mels: int
    mel_fmin: float = 0.0
    mel_fmax: float | None = None

    def __post_init__(self):
        if self.win_length > self.n_fft:
            raise ModelError(f"mel_params in BiCodec/config.yaml: win_length {self.win_length} is "
                             f"longer than n_fft {self.n_fft}.")
        highest = self.sample_rate / 2 if self.mel_fmax is None else self.mel_fmax
        if not self.mel_fmin < highest <= self.sample_rate / 2:
            raise ModelError(f"mel_params in BiCodec/config.yaml: mel_fmin {self.mel_fmin:g} and "
                             f"mel_fmax {highest:g} must ascend, up to half the sample_rate.")


@dataclass(frozen=True)
class FeatureStackConfig:
    """The semantic encoder or the prenet: Vocos backbones and a projection."""

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
            raise ModelError(f"sample_ratios {list(self.sample_ratios)} in BiCodec/config.yaml: "
                             "only 1 is supported.")


@dataclass(frozen=True)
class WaveGeneratorConfig:
    """The vocoder: channels of its input and first layer, rate and kernel size of each stage."""

    input_channel: int
    channels: int
    rates: tuple[int, ...]
    kernel_sizes: tuple[int, ...]

    def __post_init__(self):
        if len(self.rates) != len(self.kernel_sizes) or not self.rates:
            raise ModelError("decoder.rates and decoder.kernel_sizes in BiCodec/config.yaml differ "
                             "in length.")
        for rate, size in zip(self.rates, self.kernel_sizes, strict=True):
            if size < rate or (size - rate) % 2:
                raise ModelError("decoder.kernel_sizes in BiCodec/config.yaml: each minus its rate "
                                 "must be even and >= 0.")

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
    ecapa_channels: int = 512       # fixed upstream; small checkpoints have it as a key

    def __post_init__(self):
        if self.fsq_num_quantizers != 1:
            raise ModelError("fsq_num_quantizers in BiCodec/config.yaml: only one residual "
                             "quantizer is supported.")

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
    """What inference needs of the top-level config.yaml; in seconds and samples per second."""

    sample_rate: int
    latent_hop_length: int
    ref_segment_duration: float
    volume_normalize: bool = True

    @property
    def reference_samples(self) -> int:
        """Length of the reference clip, in whole hops."""
        hop = self.latent_hop_length
        return int(self.sample_rate * self.ref_segment_duration) // hop * hop


@dataclass(frozen=True)
class Wav2Vec2Config:
    """What inference needs of wav2vec 2.0: the convolutions and the first `used_layers` layers."""

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
        lengths = {len(self.conv_dim), len(self.conv_kernel), len(self.conv_stride)}
        if len(lengths) > 1 or not self.conv_dim:
            raise ModelError("conv_dim, conv_kernel and conv_stride of wav2vec2 differ in length.")
        for name, parts in (("num_attention_heads", self.num_attention_heads),
                            ("num_conv_pos_embedding_groups", self.num_conv_pos_embedding_groups)):
            if self.hidden_size % parts:
                raise ModelError(f"hidden_size {self.hidden_size} of wav2vec2 is no multiple of "
                                 f"{name} {parts}.")
        if self.num_hidden_layers <= self.used_layers:
            raise ModelError(f"wav2vec2 has {self.num_hidden_layers} layers; Spark-TTS uses hidden "
                             f"state {self.used_layers}, so it needs {self.used_layers + 1}.")

    @property
    def used_layers(self) -> int:
        return max(self.mixed_layers)

    def frames(self, samples: int) -> int:
        """Number of 50 Hz frames of `samples` at 16 kHz; 0 if they are too short."""
        for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True):
            if samples < kernel:
                return 0
            samples = (samples - kernel) // stride + 1
        return samples

    def samples(self, frames: int) -> int:
        """The smallest number of samples that gives `frames` frames."""
        convs = list(zip(self.conv_kernel, self.conv_stride, strict=True))
        for kernel, stride in reversed(convs):
            frames = (frames - 1) * stride + kernel
        return frames


@dataclass(frozen=True)
class Qwen2Config:
    """What inference needs of Qwen2.

    tie_word_embeddings: whether the output matrix is the embedding; None: unless the weights have
    one of their own.
    """

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
    tie_word_embeddings: bool | None = None

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads


@dataclass(frozen=True)
class ModelConfig:
    """The sizes of all parts of a model directory.

    languages: ISO 639-1 codes of the languages that the model speaks; None if it states none.
    """

    audio: AudioConfig
    bicodec: BiCodecConfig
    wav2vec2: Wav2Vec2Config
    llm: Qwen2Config
    languages: tuple[str, ...] | None = None
