"""BiCodec's waveform decoder at its released dimensions in plain torch.nn, with random weights.

The same work for PyTorch. Weight norm is folded, as for inference.
Source: arXiv 2503.01710; shapes of `sparktts_ms/bicodec/{prenet,wave_generator}.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FEATURE_DIM = 1024
SPEAKER_DIM = 1024
DIM = 384
INTERMEDIATE_DIM = 2048
CHANNELS = 1536
RATES = (8, 5, 4, 2)
KERNEL_SIZES = (16, 11, 8, 4)
DILATIONS = (1, 3, 9)


class AdaptiveNorm(nn.Module):
    """LayerNorm whose scale and shift are predicted from the speaker vector."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(DIM, eps=1e-6, elementwise_affine=False)
        self.scale = nn.Linear(SPEAKER_DIM, DIM)
        self.shift = nn.Linear(SPEAKER_DIM, DIM)

    def forward(self, x: Tensor, speaker: Tensor) -> Tensor:
        # x [1, T, C], speaker [1, D] -> [1, T, C]
        return self.norm(x) * self.scale(speaker)[:, None] + self.shift(speaker)[:, None]


class PlainNorm(nn.LayerNorm):
    """LayerNorm that ignores the speaker."""

    def __init__(self) -> None:
        super().__init__(DIM, eps=1e-6)

    def forward(self, x: Tensor, speaker: Tensor) -> Tensor:
        return super().forward(x)


class Block(nn.Module):
    """ConvNeXt: depthwise convolution, norm, two linear layers."""

    def __init__(self, norm: type[nn.Module]):
        super().__init__()
        self.depthwise = nn.Conv1d(DIM, DIM, 7, padding=3, groups=DIM)
        self.norm = norm()
        self.up_proj = nn.Linear(DIM, INTERMEDIATE_DIM)
        self.down_proj = nn.Linear(INTERMEDIATE_DIM, DIM)
        self.gamma = nn.Parameter(torch.ones(DIM))

    def forward(self, x: Tensor, speaker: Tensor) -> Tensor:
        # x [1, C, T] -> [1, C, T]
        y = self.norm(self.depthwise(x).transpose(1, 2), speaker)
        y = self.down_proj(nn.functional.gelu(self.up_proj(y))) * self.gamma
        return x + y.transpose(1, 2)


class Backbone(nn.Module):
    def __init__(self, layers: int, norm: type[nn.Module]):
        super().__init__()
        self.embed = nn.Conv1d(DIM, DIM, 7, padding=3)
        self.norm = norm()
        self.final_norm = nn.LayerNorm(DIM, eps=1e-6)
        self.blocks = nn.ModuleList(Block(norm) for _ in range(layers))

    def forward(self, x: Tensor, speaker: Tensor) -> Tensor:
        # x [1, T, C] -> [1, T, C]
        x = self.norm(self.embed(x.transpose(1, 2)).transpose(1, 2), speaker).transpose(1, 2)
        for block in self.blocks:
            x = block(x, speaker)
        return self.final_norm(x.transpose(1, 2))


class Prenet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.in_proj = nn.Linear(FEATURE_DIM, DIM)
        self.out_proj = nn.Linear(DIM, FEATURE_DIM)
        self.stages = nn.ModuleList(Backbone(2, PlainNorm) for _ in range(2))
        self.backbone = Backbone(12, AdaptiveNorm)

    def forward(self, z: Tensor, speaker: Tensor) -> Tensor:
        # z [1, T, Z], speaker [1, D] -> [1, T, D]
        x = self.in_proj(z)
        for stage in self.stages:
            x = stage(3.0 * x, speaker)
        return self.out_proj(self.backbone(x, speaker))


class Snake(nn.Module):
    """x + sin(alpha x)^2 / alpha, one alpha for each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sin(self.alpha * x).square() / (self.alpha + 1e-9)


class ResidualUnit(nn.Sequential):
    def __init__(self, channels: int, dilation: int):
        super().__init__(
            Snake(channels),
            nn.Conv1d(channels, channels, 7, padding=3 * dilation, dilation=dilation),
            Snake(channels),
            nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


def wave_generator() -> nn.Sequential:
    """[1, D, T] -> [1, 1, 320 T]"""
    layers: list[nn.Module] = [nn.Conv1d(FEATURE_DIM, CHANNELS, 7, padding=3)]
    channels = CHANNELS
    for rate, kernel_size in zip(RATES, KERNEL_SIZES, strict=True):
        padding = (kernel_size - rate) // 2
        upsample = nn.ConvTranspose1d(channels, channels // 2, kernel_size, rate, padding=padding)
        layers += [Snake(channels), upsample]
        channels //= 2
        layers += [ResidualUnit(channels, dilation) for dilation in DILATIONS]
    layers += [Snake(channels), nn.Conv1d(channels, 1, 7, padding=3), nn.Tanh()]
    return nn.Sequential(*layers)


class WaveDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.prenet = Prenet()
        self.generator = wave_generator()

    def forward(self, z: Tensor, speaker: Tensor) -> Tensor:
        # z [1, T, Z], speaker [1, D] -> [320 T]
        hidden = self.prenet(z, speaker) + speaker[:, None]
        return self.generator(hidden.transpose(1, 2)).reshape(-1)
