"""BiCodec and wav2vec 2.0 in PyTorch. Parameters have the names of the released files.

Configurations are sections of the released configuration files (config.py). Layers with weight
normalization are trained as plain ones; `export.py` writes their direction and magnitude.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.demo_voice.codec.dataset import HOP_LENGTH, SAMPLE_RATE
from recipes.demo_voice.config import BICODEC, TRAINED_BLOCKS, WAV2VEC2
from sparktts_ms.audio.mel import mel_filters


# ---- wave generator -----------------------------------------------------------------------------
class Snake(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sin(self.alpha * x).square() / (self.alpha + 1e-9)


class ResidualUnit(nn.Module):
    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.block = nn.Sequential(
            Snake(channels),
            nn.Conv1d(channels, channels, 7, dilation=dilation, padding=3 * dilation),
            Snake(channels),
            nn.Conv1d(channels, channels, 1),
        )
        nn.init.normal_(self.block[3].weight, 0, 0.3 / math.sqrt(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class UpsamplingBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, rate: int, kernel: int):
        super().__init__()
        self.block = nn.Sequential(
            Snake(inputs),
            nn.ConvTranspose1d(inputs, outputs, kernel, rate, (kernel - rate) // 2),
            *(ResidualUnit(outputs, dilation) for dilation in (1, 3, 9)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class WaveGenerator(nn.Module):
    """[B, I, T] at 50 Hz -> samples [B, 320 T]."""

    def __init__(self, config: dict):
        super().__init__()
        channels = config["channels"]
        layers: list[nn.Module] = [nn.Conv1d(config["input_channel"], channels, 7, padding=3)]
        for rate, kernel in zip(config["rates"], config["kernel_sizes"], strict=True):
            layers.append(UpsamplingBlock(channels, channels // 2, rate, kernel))
            channels //= 2
        layers += [Snake(channels), nn.Conv1d(channels, 1, 7, padding=3)]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.model(x))[:, 0]


# ---- Vocos backbone -----------------------------------------------------------------------------
class AdaptiveLayerNorm(nn.Module):
    """LayerNorm whose scale and shift are predicted from the speaker vector."""

    def __init__(self, dim: int, condition_dim: int):
        super().__init__()
        self.scale = nn.Linear(condition_dim, dim)
        self.shift = nn.Linear(condition_dim, dim)
        nn.init.normal_(self.scale.weight, 0, 0.02)
        nn.init.ones_(self.scale.bias)
        nn.init.normal_(self.shift.weight, 0, 0.02)
        nn.init.zeros_(self.shift.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        x = F.layer_norm(x, x.shape[-1:], eps=1e-6)
        return x * self.scale(condition)[:, None] + self.shift(condition)[:, None]


class LayerNorm(nn.LayerNorm):
    """LayerNorm with the signature of `AdaptiveLayerNorm`."""

    def __init__(self, dim: int):
        super().__init__(dim, eps=1e-6)

    def forward(self, x: Tensor, condition=None) -> Tensor:
        return super().forward(x)


def layer_norm(dim: int, condition_dim: int | None) -> nn.Module:
    return AdaptiveLayerNorm(dim, condition_dim) if condition_dim else LayerNorm(dim)


class ConvNeXtBlock(nn.Module):
    def __init__(self, dim: int, intermediate_dim: int, num_layers: int, condition_dim: int | None):
        super().__init__()
        self.dwconv = nn.Conv1d(dim, dim, 7, padding=3, groups=dim)
        self.norm = layer_norm(dim, condition_dim)
        self.pwconv1 = nn.Linear(dim, intermediate_dim)
        self.pwconv2 = nn.Linear(intermediate_dim, dim)
        self.gamma = nn.Parameter(torch.full((dim,), 1 / num_layers))

    def forward(self, x: Tensor, condition=None) -> Tensor:     # [B, T, dim]
        y = self.norm(self.dwconv(x.mT).mT, condition)
        return x + self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))


class VocosBackbone(nn.Module):
    def __init__(self, inputs: int, dim: int, intermediate_dim: int, num_layers: int,
                 condition_dim: int | None = None):
        super().__init__()
        self.embed = nn.Conv1d(inputs, dim, 7, padding=3)
        self.norm = layer_norm(dim, condition_dim)
        self.convnext = nn.ModuleList()
        for _ in range(num_layers):
            self.convnext.append(ConvNeXtBlock(dim, intermediate_dim, num_layers, condition_dim))
        self.final_layer_norm = LayerNorm(dim)

    def forward(self, x: Tensor, condition=None) -> Tensor:     # [B, T, inputs]
        x = self.norm(self.embed(x.mT).mT, condition)
        for block in self.convnext:
            x = block(x, condition)
        return self.final_layer_norm(x)


class SamplingBlock(nn.ModuleList):
    """A sampling block of the released layout at ratio 1, which has no sampling layer."""

    def __init__(self, dim: int, intermediate_dim: int):
        super().__init__([nn.Identity(), VocosBackbone(dim, dim, intermediate_dim, 2)])

    def forward(self, x: Tensor) -> Tensor:
        return self[1](3 * x)           # the input and two identical skip paths


class SemanticEncoder(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        dim = config["vocos_dim"]
        intermediate_dim = config["vocos_intermediate_dim"]
        self.encoder = VocosBackbone(config["input_channels"], dim, intermediate_dim,
                                     config["vocos_num_layers"])
        self.downsample = nn.Sequential(*(SamplingBlock(dim, intermediate_dim) for _ in range(2)))
        self.project = nn.Linear(dim, config["out_channels"])

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.downsample(self.encoder(x)))


class Prenet(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        dim = config["vocos_dim"]
        intermediate_dim = config["vocos_intermediate_dim"]
        self.linear_pre = nn.Linear(config["input_channels"], dim)
        self.downsample = nn.Sequential(*(SamplingBlock(dim, intermediate_dim) for _ in range(2)))
        self.vocos_backbone = VocosBackbone(dim, dim, intermediate_dim, config["vocos_num_layers"],
                                            config["condition_dim"])
        self.linear = nn.Linear(dim, config["out_channels"])

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return self.linear(self.vocos_backbone(self.downsample(self.linear_pre(x)), condition))


# ---- semantic quantizer -------------------------------------------------------------------------
class VectorQuantizer(nn.Module):
    """Cosine lookup in a small codebook, straight-through gradient, restart of unused codes.

    In training, the first WARMUP_STEPS do not quantize; the codebook is initialized with a sample
    of the frames of the last INIT_STEPS of them.
    """

    WARMUP_STEPS = 400
    INIT_STEPS = 20
    USAGE_DECAY = 0.98
    DEAD_USAGE = 0.1            # below this many frames a batch a code is restarted
    RESTART_USAGE = 0.5

    def __init__(self, config: dict):
        super().__init__()
        size = config["codebook_size"]
        dim = config["codebook_dim"]
        self.in_project = nn.Linear(config["input_dim"], dim)
        self.out_project = nn.Linear(dim, config["input_dim"])
        self.codebook = nn.Embedding(size, dim)
        self.codebook.weight.data = F.normalize(torch.randn(size, dim), dim=-1)
        self.register_buffer("cluster_size", torch.ones(size))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.init_frames: list[Tensor] = []

    def encode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z [B, T, Z] -> ids [B, T], projected [B, T, K]."""
        e = self.in_project(z)
        similarity = F.normalize(e, dim=-1) @ F.normalize(self.codebook.weight, dim=-1).T
        return similarity.argmax(-1), e

    def decode(self, ids: Tensor) -> Tensor:
        return self.out_project(self.codebook(ids))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z [B, T, Z] -> quantized [B, T, Z], codebook and commitment loss, ids [B, T]."""
        if self.training:
            self.steps += 1
            if self.steps <= self.WARMUP_STEPS:
                return self._warm_up(z)
        ids, e = self.encode(z)
        e = F.normalize(e, dim=-1)
        q = self.codebook(ids)
        codebook_loss = (q - e.detach()).square().sum(-1).mean()
        commitment_loss = 0.25 * (e - q.detach()).square().sum(-1).mean()
        if self.training:
            self._restart_dead_codes(e.detach(), ids)
        return self.out_project(e + (q - e).detach()), codebook_loss + commitment_loss, ids

    def _warm_up(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        e = F.normalize(self.in_project(z), dim=-1)
        if self.steps > self.WARMUP_STEPS - self.INIT_STEPS:
            self.init_frames.append(e.detach().flatten(0, 1))
        if self.steps == self.WARMUP_STEPS:
            frames = torch.cat(self.init_frames)
            sample = torch.randperm(len(frames))[:len(self.codebook.weight)]
            self.codebook.weight.data = frames[sample].clone()
            self.init_frames.clear()
        ids = torch.zeros(z.shape[:2], dtype=torch.long)
        return self.out_project(e), e.new_zeros(()), ids

    @torch.no_grad()
    def _restart_dead_codes(self, e: Tensor, ids: Tensor) -> None:
        usage = torch.bincount(ids.flatten(), minlength=len(self.cluster_size)).float()
        self.cluster_size.lerp_(usage, 1 - self.USAGE_DECAY)
        dead = torch.nonzero(self.cluster_size < self.DEAD_USAGE)[:, 0]
        if len(dead):
            frames = e.flatten(0, 1)
            self.codebook.weight[dead] = frames[torch.randint(len(frames), (len(dead),))]
            self.cluster_size[dead] = self.RESTART_USAGE


# ---- speaker encoder ----------------------------------------------------------------------------
class SpeakerMel(nn.Module):
    """Samples [B, N] -> mel magnitudes [B, 128, T], as `sparktts_ms/audio/mel.py` computes them."""

    def __init__(self):
        super().__init__()
        filters = mel_filters(SAMPLE_RATE, 1024, 128, 10, None).T.astype(np.float32)
        self.register_buffer("filters", torch.from_numpy(filters))
        self.register_buffer("window", torch.hann_window(640))

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.stft(
            x, 1024, HOP_LENGTH, 640, self.window, pad_mode="reflect", return_complex=True
        )
        return self.filters @ spectrum.abs()


class ConvReluNorm(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1):
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, padding=padding)
        self.bn = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(F.relu(self.conv(x)))


class Res2Conv(nn.Module):
    def __init__(self, channels: int, dilation: int):
        super().__init__()
        width = channels // 8
        self.convs = nn.ModuleList()
        self.bns = nn.ModuleList()
        for _ in range(7):
            self.convs.append(nn.Conv1d(width, width, 3, dilation=dilation, padding=dilation))
            self.bns.append(nn.BatchNorm1d(width))

    def forward(self, x: Tensor) -> Tensor:
        groups = x.chunk(8, 1)
        outputs: list[Tensor] = []
        for n, (conv, bn) in enumerate(zip(self.convs, self.bns, strict=True)):
            group = groups[n] + outputs[-1] if n else groups[n]
            outputs.append(bn(F.relu(conv(group))))
        return torch.cat([*outputs, groups[7]], 1)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.linear1 = nn.Linear(channels, 128)
        self.linear2 = nn.Linear(128, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.linear2(F.relu(self.linear1(x.mean(2)))))[:, :, None]


class EcapaBlock(nn.Module):
    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.se_res2block = nn.Sequential(
            ConvReluNorm(channels, channels),
            Res2Conv(channels, dilation),
            ConvReluNorm(channels, channels),
            SqueezeExcite(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.se_res2block(x)


class EcapaTdnn(nn.Module):
    def __init__(self, num_mels: int, channels: int):
        super().__init__()
        self.layer1 = ConvReluNorm(num_mels, channels, 5)
        self.layer2 = EcapaBlock(channels, 2)
        self.layer3 = EcapaBlock(channels, 3)
        self.layer4 = EcapaBlock(channels, 4)
        self.conv = nn.Conv1d(3 * channels, 3 * channels, 1)

    def forward(self, mel: Tensor) -> Tensor:
        x2 = self.layer2(self.layer1(mel))
        x3 = self.layer3(x2)
        return F.relu(self.conv(torch.cat([x2, x3, self.layer4(x3)], 1)))


def multi_head_attention(q: Tensor, k: Tensor, v: Tensor, num_heads: int) -> Tensor:
    """Each [B, T, num_heads * D] -> [B, T, num_heads * D]."""
    q, k, v = (x.unflatten(-1, (num_heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class PerceiverAttention(nn.Module):
    NUM_HEADS = 8
    HEAD_DIM = 64

    def __init__(self, dim: int):
        super().__init__()
        inner_dim = self.NUM_HEADS * self.HEAD_DIM
        self.to_q = nn.Linear(dim, inner_dim, bias=False)
        self.to_kv = nn.Linear(dim, 2 * inner_dim, bias=False)
        self.to_out = nn.Linear(inner_dim, dim, bias=False)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        k, v = self.to_kv(torch.cat([x, context], 1)).chunk(2, -1)
        return self.to_out(multi_head_attention(self.to_q(x), k, v, self.NUM_HEADS))


class GEGLU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        value, gate = x.chunk(2, -1)
        return F.gelu(gate) * value


class RMSNorm(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1) * math.sqrt(x.shape[-1]) * self.gamma


class PerceiverResampler(nn.Module):
    """Frames [B, T, context_dim] -> latents [B, N, dim]."""

    def __init__(self, context_dim: int, dim: int, num_latents: int):
        super().__init__()
        self.latents = nn.Parameter(torch.randn(num_latents, dim) * 0.5)
        self.proj_context = nn.Linear(context_dim, dim)
        inner_dim = int(dim * 4 * 2 / 3)
        self.layers = nn.ModuleList()
        for _ in range(2):
            attention = PerceiverAttention(dim)
            feed_forward = nn.Sequential(nn.Linear(dim, 2 * inner_dim), GEGLU(),
                                         nn.Linear(inner_dim, dim))
            self.layers.append(nn.ModuleList([attention, feed_forward]))
        self.norm = RMSNorm(dim)

    def forward(self, frames: Tensor) -> Tensor:
        context = self.proj_context(frames)
        x = self.latents.expand(len(frames), -1, -1)
        for attention, feed_forward in self.layers:
            x = x + attention(x, context)
            x = x + feed_forward(x)
        return self.norm(x)


class FiniteScalarQuantizer(nn.Module):
    def __init__(self, dim: int, levels):
        super().__init__()
        self.project_in = nn.Linear(dim, len(levels))
        self.project_out = nn.Linear(len(levels), dim)
        self.register_buffer("levels", torch.tensor(levels), persistent=False)

    def codes(self, x: Tensor) -> Tensor:
        """x [..., dim] -> codes [..., len(levels)] in [-1, 1], rounded straight through."""
        half = (self.levels - 1) * 1.001 / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)
        bounded = torch.tanh(self.project_in(x) + torch.atanh(offset / half)) * half - offset
        return (bounded + (bounded.round() - bounded).detach()) / (self.levels // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.project_out(self.codes(x))


class SpeakerEncoder(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        channels = config["ecapa_channels"]
        latent_dim = config["latent_dim"]
        self.speaker_encoder = EcapaTdnn(config["input_dim"], channels)
        self.perceiver_sampler = PerceiverResampler(3 * channels, latent_dim, config["token_num"])
        self.quantizer = FiniteScalarQuantizer(latent_dim, config["fsq_levels"])
        self.project = nn.Linear(latent_dim * config["token_num"], config["out_dim"])

    def codes(self, mel: Tensor) -> Tensor:
        """mel [B, M, T] -> codes of the speaker tokens [B, N, len(levels)]."""
        return self.quantizer.codes(self.perceiver_sampler(self.speaker_encoder(mel).mT))

    def speaker_vector(self, codes: Tensor) -> Tensor:
        return self.project(self.quantizer.project_out(codes).mT.flatten(1))

    def forward(self, mel: Tensor) -> Tensor:
        return self.speaker_vector(self.codes(mel))


# ---- wav2vec 2.0 --------------------------------------------------------------------------------
class FeatureConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride)
        self.layer_norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.layer_norm(self.conv(x).mT)).mT


class SelfAttention(nn.Module):
    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        y = multi_head_attention(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.num_heads)
        return self.out_proj(y)


class FeedForward(nn.Module):
    def __init__(self, dim: int, intermediate_dim: int):
        super().__init__()
        self.intermediate_dense = nn.Linear(dim, intermediate_dim)
        self.output_dense = nn.Linear(intermediate_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.output_dense(F.gelu(self.intermediate_dense(x)))


class TransformerBlock(nn.Module):
    def __init__(self, dim: int, num_heads: int, intermediate_dim: int):
        super().__init__()
        self.attention = SelfAttention(dim, num_heads)
        self.layer_norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, intermediate_dim)
        self.final_layer_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.layer_norm(x))
        return x + self.feed_forward(self.final_layer_norm(x))


class Wav2Vec2(nn.Module):
    """Samples [B, N] -> features [B, T, hidden_size].

    Only the first `num_blocks` transformer blocks exist here; `export.py` writes the others as
    identities. So hidden states 11, 14 and 16, whose mean Spark-TTS uses, all equal this output.
    """

    KERNELS = (10, 3, 3, 3, 3, 2, 2)
    STRIDES = (5, 2, 2, 2, 2, 2, 2)

    def __init__(self, config: dict, num_blocks: int):
        super().__init__()
        hidden_size = config["hidden_size"]
        conv_dim = config["conv_dim"][0]
        convs = nn.ModuleList()
        for n, (kernel, stride) in enumerate(zip(self.KERNELS, self.STRIDES, strict=True)):
            convs.append(FeatureConv(conv_dim if n else 1, conv_dim, kernel, stride))
        self.feature_extractor = nn.ModuleDict({"conv_layers": convs})
        self.feature_projection = nn.ModuleDict()
        self.feature_projection["layer_norm"] = nn.LayerNorm(conv_dim)
        self.feature_projection["projection"] = nn.Linear(conv_dim, hidden_size)
        position_conv = nn.Conv1d(hidden_size, hidden_size, 128, padding=64, groups=16)
        blocks = nn.ModuleList()
        for _ in range(num_blocks):
            blocks.append(TransformerBlock(hidden_size, config["num_attention_heads"],
                                           config["intermediate_size"]))
        position = nn.ModuleDict({"conv": position_conv})
        self.encoder = nn.ModuleDict({"pos_conv_embed": position, "layers": blocks})
        nn.init.normal_(position_conv.weight, 0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        variance = x.var(1, correction=0, keepdim=True)
        x = ((x - x.mean(1, keepdim=True)) / torch.sqrt(variance + 1e-7))[:, None]
        for layer in self.feature_extractor["conv_layers"]:
            x = layer(x)
        x = self.feature_projection["projection"](self.feature_projection["layer_norm"](x.mT))
        x = x + F.gelu(self.encoder["pos_conv_embed"]["conv"](x.mT)[:, :, :-1]).mT
        for layer in self.encoder["layers"]:
            x = layer(x)
        return x


# ---- all of it ----------------------------------------------------------------------------------
class Codec(nn.Module):
    """Everything of BiCodec but the wave generator, and wav2vec 2.0."""

    def __init__(self):
        super().__init__()
        self.wav2vec2 = Wav2Vec2(WAV2VEC2, TRAINED_BLOCKS)
        self.encoder = SemanticEncoder(BICODEC["encoder"])
        self.quantizer = VectorQuantizer(BICODEC["quantizer"])
        self.speaker_encoder = SpeakerEncoder(BICODEC["speaker_encoder"])
        self.prenet = Prenet(BICODEC["prenet"])
        self.speaker_mel = SpeakerMel()

    def wav2vec2_features(self, samples: Tensor) -> Tensor:
        """Samples [B, 320 T] -> features [B, T, hidden_size]."""
        return self.wav2vec2(F.pad(samples, (0, 80)))

    def wave_features(self, quantized: Tensor, speaker: Tensor) -> Tensor:
        """Quantized frames [B, T, Z], speaker vectors [B, C] -> generator input [B, T, C]."""
        return self.prenet(quantized, speaker) + speaker[:, None]
