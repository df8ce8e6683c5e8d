"""BiCodec's waveform decoder at its released dimensions in plain torch.nn, with random weights: what PyTorch makes of the
same work. Source: arXiv 2503.01710, shared shapes of `sparktts_ms/bicodec/{prenet,wave_generator}.py`.

Weight norm is folded, as it would be for inference.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FEATURES, SPEAKER, DIM, INNER = 1024, 1024, 384, 2048
CHANNELS, RATES, KERNELS, DILATIONS = 1536, (8, 5, 4, 2), (16, 11, 8, 4), (1, 3, 9)


class AdaptiveNorm(nn.Module):
    """LayerNorm whose scale and shift are predicted from the speaker vector."""

    def __init__(self) -> None:
        super().__init__()
        self.normalise = nn.LayerNorm(DIM, eps=1e-6, elementwise_affine=False)
        self.scale, self.shift = nn.Linear(SPEAKER, DIM), nn.Linear(SPEAKER, DIM)

    def forward(self, x: Tensor, speaker: Tensor) -> Tensor:
        # x [1, T, C], speaker [1, D] -> [1, T, C]
        return self.normalise(x) * self.scale(speaker)[:, None] + self.shift(speaker)[:, None]


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
        self.widen, self.narrow = nn.Linear(DIM, INNER), nn.Linear(INNER, DIM)
        self.gain = nn.Parameter(torch.ones(DIM))

    def forward(self, x: Tensor, speaker: Tensor) -> Tensor:
        # x [1, C, T] -> [1, C, T]
        y = self.norm(self.depthwise(x).transpose(1, 2), speaker)
        y = self.narrow(nn.functional.gelu(self.widen(y))) * self.gain
        return x + y.transpose(1, 2)


class Backbone(nn.Module):
    def __init__(self, layers: int, norm: type[nn.Module]):
        super().__init__()
        self.embed = nn.Conv1d(DIM, DIM, 7, padding=3)
        self.norm, self.final_norm = norm(), nn.LayerNorm(DIM, eps=1e-6)
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
        self.enter, self.leave = nn.Linear(FEATURES, DIM), nn.Linear(DIM, FEATURES)
        self.stages = nn.ModuleList(Backbone(2, PlainNorm) for _ in range(2))
        self.backbone = Backbone(12, AdaptiveNorm)

    def forward(self, z: Tensor, speaker: Tensor) -> Tensor:
        # z [1, T, Z], speaker [1, D] -> [1, T, D]
        x = self.enter(z)
        for stage in self.stages:
            x = stage(3.0 * x, speaker)
        return self.leave(self.backbone(x, speaker))


class Snake(nn.Module):
    """x + sin(a x)^2 / a, one a for each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.frequency = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sin(self.frequency * x).square() / (self.frequency + 1e-9)


class ResidualUnit(nn.Sequential):
    def __init__(self, channels: int, dilation: int):
        super().__init__(Snake(channels), nn.Conv1d(channels, channels, 7, padding=3 * dilation, dilation=dilation),
                         Snake(channels), nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


def wave_generator() -> nn.Sequential:
    """[1, D, T] -> [1, 1, 320 T]"""
    layers: list[nn.Module] = [nn.Conv1d(FEATURES, CHANNELS, 7, padding=3)]
    channels = CHANNELS
    for rate, taps in zip(RATES, KERNELS, strict=True):
        layers += [Snake(channels), nn.ConvTranspose1d(channels, channels // 2, taps, rate, padding=(taps - rate) // 2)]
        channels //= 2
        layers += [ResidualUnit(channels, dilation) for dilation in DILATIONS]
    return nn.Sequential(*layers, Snake(channels), nn.Conv1d(channels, 1, 7, padding=3), nn.Tanh())


class WaveDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.prenet, self.generator = Prenet(), wave_generator()

    def forward(self, z: Tensor, speaker: Tensor) -> Tensor:
        # z [1, T, Z], speaker [1, D] -> [320 T]
        return self.generator((self.prenet(z, speaker) + speaker[:, None]).transpose(1, 2)).reshape(-1)
