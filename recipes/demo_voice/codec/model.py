"""BiCodec and its feature network in PyTorch, for training: parameters carry the names of the released files.

Sizes are arguments everywhere; weight-normed layers train as plain ones (`export.py` writes the pairs).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


# ---- waveform generator ---------------------------------------------------------------------------------------------------
class Snake(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sin(self.alpha * x).square() / (self.alpha + 1e-9)


class ResidualUnit(nn.Module):
    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.block = nn.Sequential(Snake(channels), nn.Conv1d(channels, channels, 7, dilation=dilation, padding=3 * dilation),
                                   Snake(channels), nn.Conv1d(channels, channels, 1))
        nn.init.normal_(self.block[3].weight, 0, 0.3 / math.sqrt(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class Upsampling(nn.Module):
    def __init__(self, inputs: int, outputs: int, rate: int, kernel: int):
        super().__init__()
        self.block = nn.Sequential(Snake(inputs), nn.ConvTranspose1d(inputs, outputs, kernel, rate, (kernel - rate) // 2),
                                   *(ResidualUnit(outputs, dilation) for dilation in (1, 3, 9)))

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class WaveGenerator(nn.Module):
    """[B, I, T] at 50 Hz -> samples [B, 320 T]."""

    def __init__(self, input_channel: int, channels: int, rates, kernel_sizes):
        super().__init__()
        widths = [channels >> n for n in range(len(rates) + 1)]
        self.model = nn.Sequential(
            nn.Conv1d(input_channel, channels, 7, padding=3),
            *(Upsampling(*sizes) for sizes in zip(widths[:-1], widths[1:], rates, kernel_sizes, strict=True)),
            Snake(widths[-1]), nn.Conv1d(widths[-1], 1, 7, padding=3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.model(x))[:, 0]


# ---- Vocos backbone -------------------------------------------------------------------------------------------------------
class AdaptiveNorm(nn.Module):
    def __init__(self, dim: int, condition: int):
        super().__init__()
        self.scale, self.shift = nn.Linear(condition, dim), nn.Linear(condition, dim)
        nn.init.normal_(self.scale.weight, 0, 0.02)
        nn.init.ones_(self.scale.bias)
        nn.init.normal_(self.shift.weight, 0, 0.02)
        nn.init.zeros_(self.shift.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], eps=1e-6) * self.scale(condition)[:, None] + self.shift(condition)[:, None]


class PlainNorm(nn.LayerNorm):
    def __init__(self, dim: int):
        super().__init__(dim, eps=1e-6)

    def forward(self, x: Tensor, condition=None) -> Tensor:
        return super().forward(x)


def norm(dim: int, condition: int | None) -> nn.Module:
    return AdaptiveNorm(dim, condition) if condition else PlainNorm(dim)


class ConvNeXt(nn.Module):
    def __init__(self, dim: int, intermediate: int, layers: int, condition: int | None):
        super().__init__()
        self.dwconv = nn.Conv1d(dim, dim, 7, padding=3, groups=dim)
        self.norm = norm(dim, condition)
        self.pwconv1, self.pwconv2 = nn.Linear(dim, intermediate), nn.Linear(intermediate, dim)
        self.gamma = nn.Parameter(torch.full((dim,), 1 / layers))

    def forward(self, x: Tensor, condition=None) -> Tensor:     # [B, T, dim]
        y = self.norm(self.dwconv(x.mT).mT, condition)
        return x + self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))


class Vocos(nn.Module):
    def __init__(self, inputs: int, dim: int, intermediate: int, layers: int, condition: int | None = None):
        super().__init__()
        self.embed = nn.Conv1d(inputs, dim, 7, padding=3)
        self.norm = norm(dim, condition)
        self.convnext = nn.ModuleList(ConvNeXt(dim, intermediate, layers, condition) for _ in range(layers))
        self.final_layer_norm = PlainNorm(dim)

    def forward(self, x: Tensor, condition=None) -> Tensor:     # [B, T, inputs]
        x = self.norm(self.embed(x.mT).mT, condition)
        for block in self.convnext:
            x = block(x, condition)
        return self.final_layer_norm(x)


def sampling_stages(dim: int, intermediate: int) -> nn.ModuleList:
    return nn.ModuleList(nn.ModuleList([nn.Identity(), Vocos(dim, dim, intermediate, 2)]) for _ in range(2))


class SemanticEncoder(nn.Module):
    def __init__(self, input_channels: int, vocos_dim: int, vocos_intermediate_dim: int, vocos_num_layers: int,
                 out_channels: int):
        super().__init__()
        self.encoder = Vocos(input_channels, vocos_dim, vocos_intermediate_dim, vocos_num_layers)
        self.downsample = sampling_stages(vocos_dim, vocos_intermediate_dim)
        self.project = nn.Linear(vocos_dim, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.encoder(x)
        for _, backbone in self.downsample:
            x = backbone(3 * x)
        return self.project(x)


class Prenet(nn.Module):
    def __init__(self, input_channels: int, vocos_dim: int, vocos_intermediate_dim: int, vocos_num_layers: int,
                 out_channels: int, condition_dim: int):
        super().__init__()
        self.linear_pre = nn.Linear(input_channels, vocos_dim)
        self.downsample = sampling_stages(vocos_dim, vocos_intermediate_dim)
        self.vocos_backbone = Vocos(vocos_dim, vocos_dim, vocos_intermediate_dim, vocos_num_layers, condition_dim)
        self.linear = nn.Linear(vocos_dim, out_channels)

    def forward(self, x: Tensor, d: Tensor) -> Tensor:
        x = self.linear_pre(x)
        for _, backbone in self.downsample:
            x = backbone(3 * x)
        return self.linear(self.vocos_backbone(x, d))


# ---- semantic quantizer ---------------------------------------------------------------------------------------------------
class Quantizer(nn.Module):
    """Cosine lookup in a small codebook, straight through; codes that fall out of use are moved onto frames of the batch.

    In training, the first FREE steps quantize nothing and gather frames; the codebook begins as a sample of them."""

    FREE, KEPT = 400, 20        # steps, and how many of their last ones are sampled

    def __init__(self, input_dim: int, codebook_size: int, codebook_dim: int):
        super().__init__()
        self.in_project, self.out_project = nn.Linear(input_dim, codebook_dim), nn.Linear(codebook_dim, input_dim)
        self.codebook = nn.Embedding(codebook_size, codebook_dim)
        self.codebook.weight.data = F.normalize(torch.randn(codebook_size, codebook_dim), dim=-1)
        self.register_buffer("cluster_size", torch.ones(codebook_size))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.gathered: list[Tensor] = []

    def encode(self, z: Tensor) -> tuple[Tensor, Tensor]:       # [B, T, Z] -> ids [B, T], projected [B, T, K]
        e = self.in_project(z)
        return (F.normalize(e, dim=-1) @ F.normalize(self.codebook.weight, dim=-1).T).argmax(-1), e

    def decode(self, ids: Tensor) -> Tensor:
        return self.out_project(self.codebook(ids))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.training:
            self.steps += 1
            if self.steps <= self.FREE:
                return self.gather(z)
        ids, e = self.encode(z)
        e = F.normalize(e, dim=-1)
        q = self.codebook(ids)
        loss = (q - e.detach()).square().sum(-1).mean() + 0.25 * (e - q.detach()).square().sum(-1).mean()
        if self.training:
            self.revive(e.detach(), ids)
        return self.out_project(e + (q - e).detach()), loss, ids

    def gather(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        e = F.normalize(self.in_project(z), dim=-1)
        if self.steps > self.FREE - self.KEPT:
            self.gathered.append(e.detach().flatten(0, 1))
        if self.steps == self.FREE:
            frames = torch.cat(self.gathered)
            self.codebook.weight.data = frames[torch.randperm(len(frames))[:len(self.codebook.weight)]].clone()
            self.gathered.clear()
        return self.out_project(e), e.new_zeros(()), torch.zeros(z.shape[:2], dtype=torch.long)

    @torch.no_grad()
    def revive(self, e: Tensor, ids: Tensor) -> None:
        self.cluster_size.lerp_(torch.bincount(ids.flatten(), minlength=len(self.cluster_size)).float(), 0.02)
        dead = torch.nonzero(self.cluster_size < 0.1)[:, 0]
        if len(dead):
            frames = e.flatten(0, 1)
            self.codebook.weight[dead] = frames[torch.randint(len(frames), (len(dead),))]
            self.cluster_size[dead] = 0.5


# ---- voice ----------------------------------------------------------------------------------------------------------------
class ScaledConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, taps: int = 1, dilation: int = 1):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, taps, dilation=dilation, padding=dilation * (taps // 2))
        self.bn = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(F.relu(self.conv(x)))


class Res2(nn.Module):
    def __init__(self, channels: int, dilation: int):
        super().__init__()
        width = channels // 8
        self.convs = nn.ModuleList(nn.Conv1d(width, width, 3, dilation=dilation, padding=dilation) for _ in range(7))
        self.bns = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(7))

    def forward(self, x: Tensor) -> Tensor:
        groups, parts = x.chunk(8, 1), []
        for n, (conv, bn) in enumerate(zip(self.convs, self.bns, strict=True)):
            parts.append(bn(F.relu(conv(groups[n] if not n else groups[n] + parts[-1]))))
        return torch.cat([*parts, groups[7]], 1)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(channels, 128), nn.Linear(128, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.linear2(F.relu(self.linear1(x.mean(2)))))[:, :, None]


class EcapaBlock(nn.Module):
    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.se_res2block = nn.Sequential(ScaledConv(channels, channels), Res2(channels, dilation),
                                          ScaledConv(channels, channels), SqueezeExcite(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.se_res2block(x)


class Ecapa(nn.Module):
    def __init__(self, mels: int, channels: int):
        super().__init__()
        self.layer1 = ScaledConv(mels, channels, 5)
        self.layer2, self.layer3, self.layer4 = (EcapaBlock(channels, n) for n in (2, 3, 4))
        self.conv = nn.Conv1d(3 * channels, 3 * channels, 1)

    def forward(self, mel: Tensor) -> Tensor:
        x2 = self.layer2(self.layer1(mel))
        x3 = self.layer3(x2)
        return F.relu(self.conv(torch.cat([x2, x3, self.layer4(x3)], 1)))


class Attention(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.to_q, self.to_kv = nn.Linear(dim, 512, bias=False), nn.Linear(dim, 1024, bias=False)
        self.to_out = nn.Linear(512, dim, bias=False)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        def heads(y):
            return y.unflatten(-1, (8, 64)).transpose(1, 2)
        k, v = self.to_kv(torch.cat([x, context], 1)).chunk(2, -1)
        return self.to_out(F.scaled_dot_product_attention(heads(self.to_q(x)), heads(k), heads(v)).transpose(1, 2).flatten(2))


class GatedGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, -1)
        return F.gelu(b) * a


class RMSNorm(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1) * math.sqrt(x.shape[-1]) * self.gamma


class Perceiver(nn.Module):
    def __init__(self, context: int, dim: int, latents: int):
        super().__init__()
        self.latents = nn.Parameter(torch.randn(latents, dim) * 0.5)
        self.proj_context = nn.Linear(context, dim)
        inner = int(dim * 4 * 2 / 3)
        self.layers = nn.ModuleList(nn.ModuleList([Attention(dim), nn.Sequential(
            nn.Linear(dim, 2 * inner), GatedGELU(), nn.Linear(inner, dim))]) for _ in range(2))
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
        self.project_in, self.project_out = nn.Linear(dim, len(levels)), nn.Linear(len(levels), dim)
        self.register_buffer("levels", torch.tensor(levels), persistent=False)

    def codes(self, x: Tensor) -> Tensor:
        half = (self.levels - 1) * 1.001 / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)
        bounded = torch.tanh(self.project_in(x) + torch.atanh(offset / half)) * half - offset
        return (bounded + (bounded.round() - bounded).detach()) / (self.levels // 2)

    def ids(self, x: Tensor) -> Tensor:
        digits = (self.codes(x) * (self.levels // 2) + self.levels // 2).round().long()
        return (digits * torch.cumprod(torch.cat([torch.ones(1, dtype=torch.long), self.levels[:-1]]), 0)).sum(-1)

    def forward(self, x: Tensor) -> Tensor:
        return self.project_out(self.codes(x))


class SpeakerEncoder(nn.Module):
    def __init__(self, input_dim: int, out_dim: int, latent_dim: int, token_num: int, fsq_levels, ecapa_channels: int):
        super().__init__()
        self.speaker_encoder = Ecapa(input_dim, ecapa_channels)
        self.perceiver_sampler = Perceiver(3 * ecapa_channels, latent_dim, token_num)
        self.quantizer = FiniteScalarQuantizer(latent_dim, fsq_levels)
        self.project = nn.Linear(latent_dim * token_num, out_dim)

    def latents(self, mel: Tensor) -> Tensor:       # [B, M, T] -> [B, N, C]
        return self.perceiver_sampler(self.speaker_encoder(mel).mT)

    def forward(self, mel: Tensor) -> Tensor:
        return self.project(self.quantizer(self.latents(mel)).mT.flatten(1))


# ---- feature network ------------------------------------------------------------------------------------------------------
class FrontConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride)
        self.layer_norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.layer_norm(self.conv(x).mT)).mT


class SelfAttention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (p(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, dim: int, inner: int):
        super().__init__()
        self.intermediate_dense, self.output_dense = nn.Linear(dim, inner), nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.output_dense(F.gelu(self.intermediate_dense(x)))


class TransformerBlock(nn.Module):
    def __init__(self, dim: int, heads: int, inner: int):
        super().__init__()
        self.attention, self.layer_norm = SelfAttention(dim, heads), nn.LayerNorm(dim)
        self.feed_forward, self.final_layer_norm = FeedForward(dim, inner), nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.layer_norm(x))
        return x + self.feed_forward(self.final_layer_norm(x))


class Wav2Vec2(nn.Module):
    """Samples [B, N] -> [B, T, H]. Only the first `trained` blocks exist here; `export.py` writes the others as blocks that
    add nothing, so hidden states 11, 14 and 16, which Spark-TTS averages, are all this network's output."""

    def __init__(self, hidden: int, heads: int, inner: int, conv: int, trained: int):
        super().__init__()
        sizes = list(zip([1] + [conv] * 6, [conv] * 7, (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), strict=True))
        self.feature_extractor = nn.ModuleDict({"conv_layers": nn.ModuleList(FrontConv(*s) for s in sizes)})
        self.feature_projection = nn.ModuleDict({"layer_norm": nn.LayerNorm(conv), "projection": nn.Linear(conv, hidden)})
        self.encoder = nn.ModuleDict({
            "pos_conv_embed": nn.ModuleDict({"conv": nn.Conv1d(hidden, hidden, 128, padding=64, groups=16)}),
            "layers": nn.ModuleList(TransformerBlock(hidden, heads, inner) for _ in range(trained))})
        nn.init.normal_(self.encoder["pos_conv_embed"]["conv"].weight, 0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = ((x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, correction=0, keepdim=True) + 1e-7))[:, None]
        for layer in self.feature_extractor["conv_layers"]:
            x = layer(x)
        x = self.feature_projection["projection"](self.feature_projection["layer_norm"](x.mT))
        x = x + F.gelu(self.encoder["pos_conv_embed"]["conv"](x.mT)[:, :, :-1]).mT
        for layer in self.encoder["layers"]:
            x = layer(x)
        return x
