"""How close each stage comes to what the machine can do at most.

A stage cannot take less time than to read from memory what it reads (bytes over bandwidth), nor
than to compute its products (MACs over peak). Its floor is the larger of the two, and its share of
the limit is the floor over the time that it took. Products are those of matrices and convolutions,
counted from the sizes in the configuration. With AMX a product of frames is several of bfloat16
(ops/native/bf16_parts.h): in the encoders, and beside quantized weights in the wave generator.
Elsewhere a convolution of 7 taps counts the 10 products for 4 outputs of Toom-Cook instead of 28.
Everything else (norms, activations, softmax, sampling) has no floor.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine_peak import MachinePeak, measure_peak
from benchmarks.plan import BATCH_SIZES, FLOAT, INT8, PREFILL, Results
from sparktts_ms.bicodec.ecapa import BOTTLENECK, SCALE
from sparktts_ms.bicodec.perceiver import DEPTH, HEAD_DIM, HEADS
from sparktts_ms.bicodec.wave_generator import DILATIONS
from sparktts_ms.config import (
    FeatureStackConfig,
    ModelConfig,
    Qwen2Config,
    SpeakerEncoderConfig,
    Wav2Vec2Config,
    WaveGeneratorConfig,
)
from sparktts_ms.config_files import read_config
from sparktts_ms.ops import toom_cook

TAPS = 7                                        # of the backbones' and residual units' convolutions
TOOM_COOK = toom_cook.SIZE / toom_cook.OUTPUTS  # products an output of a convolution of 7 taps
TILE_PRODUCTS = {2: 3, 3: 6}                    # of bfloat16, for numbers of so many parts
STAGE_BACKBONE_LAYERS = 2                       # of the backbone after each resampling block
CONTEXT = 400
LABEL_WIDTH = 44
UNPRINTED = tuple(f"a token each of {batch} " for batch in BATCH_SIZES[1:-1])


@dataclass(frozen=True)
class Work:
    """What a stage has to do at least. macs: products, in `unit` "float32" or "int8"; bytes: read
    from memory. parts: of bfloat16, that float32 numbers have for AMX; 0 where it is not used."""

    label: str
    task: str
    engine: str
    macs: float
    unit: str
    bytes: float = 0.0
    parts: int = 0

    def peak(self, peak: MachinePeak) -> float:
        """Products a second."""
        if self.unit == "int8":
            return peak.best_int8_macs
        if self.parts and peak.bf16_tile_macs:
            return peak.bf16_tile_macs / TILE_PRODUCTS[self.parts]
        return peak.float_macs


@dataclass(frozen=True)
class Share:
    """bound: what sets the floor, "memory" or "arithmetic". rate: what of it the stage reached in a
    second, bytes or MACs."""

    label: str
    engine: str
    seconds: float
    floor: float
    bound: str
    bytes: float
    macs: float
    rate: float

    @property
    def share(self) -> float:
        return self.floor / self.seconds

    @property
    def line(self) -> str:
        if self.bound == "memory":
            work = f"reads {self.bytes / 1e6:.0f} MB; {self.rate / 1e9:.1f} GB/s"
        else:
            work = f"{self.macs / 1e9:.3g} G products; {self.rate / 1e9:.0f} G/s"
        return (f"{self.label + ', ' + self.engine:{LABEL_WIDTH}s}"
                f"share of the limit: {self.share:4.0%} ({work})")


@dataclass(frozen=True)
class Limits:
    """peak: of the machine. shares: of each stage that was measured."""

    peak: MachinePeak
    shares: list[Share]

    def table(self) -> str:
        """The machine's peak, and one line a stage; of decode steps those of 1 and 16."""
        peak = self.peak
        tiles = ""
        if peak.int8_tile_macs:
            tiles = (f"; with tiles bfloat16 {peak.bf16_tile_macs / 1e9:.0f} G, int8 "
                     f"{peak.int8_tile_macs / 1e9:.0f} G")
        lines = [f"Limits: memory {peak.read / 1e9:.1f} GB/s; products a second: float32 "
                 f"{peak.float_macs / 1e9:.0f} G, int8 {peak.int8_macs / 1e9:.0f} G{tiles}"]
        return "\n".join([*lines, *(share.line for share in self.shares
                          if not share.label.startswith(UNPRINTED))])

    def as_json(self) -> dict[str, Any]:
        """machine: see MachinePeak. stages: see Share."""
        stages = [{**asdict(share), "share": share.share} for share in self.shares]
        return {"machine": asdict(self.peak), "stages": stages}


def measure_limits(model_dir: Path, bytes_read: Mapping[str, Mapping[str, int]],
                   results: Results) -> Limits | None:
    """The machine's peak and what each stage reached of it; None without a compiler. bytes_read:
    engine -> see `Model.bytes_read`."""
    peak = measure_peak()
    if peak is None:
        return None
    return Limits(peak, shares(read_config(model_dir), peak, bytes_read, results))


def shares(config: ModelConfig, peak: MachinePeak, bytes_read: Mapping[str, Mapping[str, int]],
           results: Results) -> list[Share]:
    """Of each stage that was measured."""
    found = []
    for work in all_work(config, bytes_read, tiles=peak.bf16_tile_macs > 0):
        figures = results.of(work.task, work.engine)
        if not figures:
            continue
        seconds = statistics.median(figures)
        reading = work.bytes / peak.read
        computing = work.macs / work.peak(peak)
        in_memory = reading > computing
        amount = work.bytes if in_memory else work.macs
        found.append(Share(
            work.label, work.engine, seconds, max(reading, computing),
            "memory" if in_memory else "arithmetic", work.bytes, work.macs, amount / seconds))
    return found


def all_work(config: ModelConfig, bytes_read: Mapping[str, Mapping[str, int]],
             tiles: bool) -> list[Work]:
    """Of the stages, by engine. tiles: whether the processor has AMX."""
    head_rows = config.bicodec.quantizer.codebook_size + 2
    found = []
    for engine, read in bytes_read.items():
        unit = "float32" if engine.endswith("float32") else "int8"
        for batch in BATCH_SIZES:
            label = f"a token each of {batch}" if batch > 1 else "a token"
            found.append(Work(
                f"{label} at {CONTEXT}", f"decode {CONTEXT} {batch} 20", engine,
                batch * decode_macs(config.llm, head_rows), unit,
                read["weights"] + batch * CONTEXT * read["cache"]))
        found.append(Work("prompt of 400", PREFILL, engine,
                          CONTEXT * layer_macs(config.llm), unit, read["weights"]))
    frames = config.wav2vec2.frames(96000)
    encoding = wav2vec2_macs(config.wav2vec2, 96000) + semantic_macs(config, frames)
    encoding += speaker_macs(config.bicodec.speaker_encoder, 96000 // config.bicodec.mel.hop_length)
    found.append(Work("recording of 6 s to ids", "encode", FLOAT, encoding, "float32", parts=3))
    for count in (50, 250):
        for engine, parts in ((FLOAT, 0), (INT8, 2 if tiles else 0)):
            found.append(Work(f"{count} frames to waveform", f"wave {count}", engine,
                              wave_macs(config, count, TAPS if parts else TOOM_COOK), "float32",
                              parts=parts))
    return found


def layer_macs(config: Qwen2Config) -> float:
    """Of the matrices of all layers, for one position. Attention has few."""
    size = config.hidden_size
    qkv = size + 2 * config.num_key_value_heads * config.head_dim
    return config.num_hidden_layers * size * (qkv + size + 3 * config.intermediate_size)


def decode_macs(config: Qwen2Config, head_rows: int) -> float:
    """Of one id of one sequence, with the LM head."""
    return layer_macs(config) + head_rows * config.hidden_size


def wav2vec2_macs(config: Wav2Vec2Config, samples: int) -> float:
    """Of `samples` at 16 kHz, with the layers that are used."""
    total = 0.0
    channels = 1
    length = samples
    for outputs, kernel, stride in zip(config.conv_dim, config.conv_kernel, config.conv_stride,
                                       strict=True):
        length = (length - kernel) // stride + 1
        total += length * outputs * channels * kernel
        channels = outputs
    size = config.hidden_size
    total += length * channels * size
    group_size = size // config.num_conv_pos_embedding_groups
    total += length * size * group_size * config.num_conv_pos_embeddings
    matrices = 4 * size * size + 2 * size * config.intermediate_size
    attention = 2 * length * size               # a row of scores, and the values that it weighs
    return total + config.used_layers * length * (matrices + attention)


def backbone_macs(config: FeatureStackConfig, inputs: int, layers: int) -> float:
    """Of a frame."""
    dim = config.vocos_dim
    block = dim * TAPS + 2 * dim * config.vocos_intermediate_dim
    return TAPS * inputs * dim + layers * block


def semantic_macs(config: ModelConfig, frames: int) -> float:
    """Of the semantic encoder."""
    encoder = config.bicodec.encoder
    quantizer = config.bicodec.quantizer
    frame = backbone_macs(encoder, encoder.input_channels, encoder.vocos_num_layers)
    frame += len(encoder.sample_ratios) * backbone_macs(
        encoder, encoder.vocos_dim, STAGE_BACKBONE_LAYERS)
    frame += encoder.vocos_dim * encoder.out_channels
    frame += quantizer.input_dim * quantizer.codebook_dim
    return frames * frame


def speaker_macs(config: SpeakerEncoderConfig, frames: int) -> float:
    """Of the speaker encoder on a mel spectrogram."""
    channels = config.ecapa_channels
    width = channels // SCALE
    block = 2 * channels * channels + (SCALE - 1) * 3 * width * width
    frame = 5 * config.input_dim * channels + 3 * block + (3 * channels) ** 2
    inner = HEADS * HEAD_DIM
    dim = config.latent_dim
    frame += 3 * channels * dim + DEPTH * 2 * inner * dim
    attention = 2 * (frames + config.token_num) * inner
    gated = 3 * dim * int(dim * 4 * 2 / 3)
    latent = DEPTH * (4 * inner * dim + attention + gated)
    return frames * frame + config.token_num * latent + 3 * 2 * channels * BOTTLENECK


def wave_macs(config: ModelConfig, frames: int, products: float) -> float:
    """Of prenet and wave generator. products: an output and input of a convolution of 7 taps."""
    return frames * (prenet_macs(config.bicodec.prenet)
                     + generator_macs(config.bicodec.decoder, products))


def prenet_macs(config: FeatureStackConfig) -> float:
    """Of a frame."""
    dim = config.vocos_dim
    stages = len(config.sample_ratios) * backbone_macs(config, dim, STAGE_BACKBONE_LAYERS)
    backbone = backbone_macs(config, dim, config.vocos_num_layers)
    return config.input_channels * dim + stages + backbone + dim * config.out_channels


def generator_macs(config: WaveGeneratorConfig, products: float) -> float:
    """Of a frame. products: see `wave_macs`."""
    channels = config.channels
    total = products * config.input_channel * channels
    length = 1
    for rate, size in zip(config.rates, config.kernel_sizes, strict=True):
        total += length * channels * (channels // 2) * size
        length *= rate
        channels //= 2
        total += length * len(DILATIONS) * (products + 1) * channels * channels
    return total + length * channels * TAPS
