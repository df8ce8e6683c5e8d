"""The wave generator: 50 frames a second become 16,000 samples. Source: upstream `wave_generator.py`.

Weight norm is folded. Whatever lies outside the utterance (`keep` 0) is kept at zero where a convolution with more than
one tap reads it, so a window that reaches past either end gives the same samples as the bare utterance.
"""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, nn, ops

from sparktts_ms.config import WaveGeneratorConfig
from sparktts_ms.ops.activation import Snake, tanh
from sparktts_ms.ops.convolution import Conv1d, ConvTranspose1d
from sparktts_ms.ops.masking import Kept
from sparktts_ms.weights.folding import weight_norm
from sparktts_ms.weights.source import WeightSource

DILATIONS = (1, 3, 9)


class ResidualUnit(nn.Cell):
    """x + narrow(snake(wide(snake(x))))."""

    def __init__(self, weights: WeightSource, channels: int, dilation: int):
        super().__init__()
        first, second = frequencies(weights.at("0"), channels), frequencies(weights.at("2"), channels)
        self.kept = Kept()
        self.first_snake, self.second_snake = Snake(first), Snake(second)
        self.wide = conv(weights.at("1"), channels, channels, 7, dilation, after=first)
        self.narrow = conv(weights.at("3"), channels, channels, 1, after=second)

    def construct(self, x: Tensor, keep: Tensor) -> Tensor:
        # x [1, C, 1, T], zero outside the utterance (and snake(0) = 0); keep [T, 1] -> [1, C, 1, T]
        return self.kept.sum(x, self.narrow(self.second_snake(self.wide(self.first_snake(x)))), keep)


class UpsamplingStage(nn.Cell):
    """Snake, transposed convolution to half the channels, three residual units."""

    def __init__(self, weights: WeightSource, inputs: int, rate: int, taps: int):
        super().__init__()
        outputs = inputs // 2
        self.rate, self.kept = rate, Kept()
        frequency, up = frequencies(weights.at("0"), inputs), weights.at("1")
        kernel = weight_norm(up, inputs, outputs, taps) / frequency[:, None, None]
        self.snake = Snake(frequency)
        self.up = ConvTranspose1d(kernel, up.take("bias", outputs), rate)
        self.units = nn.CellList([ResidualUnit(weights.at(f"{2 + n}.block"), outputs, dilation)
                                  for n, dilation in enumerate(DILATIONS)])

    def construct(self, x: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        # x [1, C, 1, T], keep [T, 1] -> [1, C / 2, 1, rate T], [rate T, 1]
        keep = ops.tile(keep, (1, self.rate)).reshape(-1, 1)
        x = self.kept(self.up(self.snake(x)), keep)
        for unit in self.units:
            x = unit(x, keep)
        return x, keep


class WaveGenerator(nn.Cell):
    def __init__(self, weights: WeightSource, config: WaveGeneratorConfig):
        super().__init__()
        self.kept = Kept()
        self.enter = conv(weights.at("model.0"), config.input_channel, config.channels, 7)
        stages, channels = [], config.channels
        for n, (rate, taps) in enumerate(zip(config.rates, config.kernel_sizes, strict=True)):
            stages.append(UpsamplingStage(weights.at(f"model.{n + 1}.block"), channels, rate, taps))
            channels //= 2
        self.stages = nn.CellList(stages)
        frequency = frequencies(weights.at(f"model.{len(stages) + 1}"), channels)
        self.snake = Snake(frequency)
        self.leave = conv(weights.at(f"model.{len(stages) + 2}"), channels, 1, 7, after=frequency)

    def construct(self, x: Tensor, keep: Tensor) -> Tensor:
        # x [T, D], keep [T, 1] -> [320 T]
        x = (x * keep).transpose(1, 0).reshape(1, x.shape[1], 1, x.shape[0])
        x = self.kept(self.enter(x), keep)
        for stage in self.stages:
            x, keep = stage(x, keep)
        return tanh(self.leave(self.snake(x))).reshape(-1)


def context_frames(config: WaveGeneratorConfig) -> int:
    """How many frames on each side can change a frame's samples."""
    reach = 3
    for rate, taps in zip(reversed(config.rates), reversed(config.kernel_sizes), strict=True):
        reach = -(-(reach + 3 * sum(DILATIONS) + taps) // rate)
    return reach + 3


def frequencies(weights: WeightSource, channels: int) -> np.ndarray:
    """The snake's frequency of each channel [C]; one of zero (no snake there) becomes tiny, as upstream's 1e-9 does."""
    alpha = weights.take("alpha", 1, channels, 1).reshape(-1)
    return np.where(np.abs(alpha) < 1e-6, np.float32(1e-6), alpha)


def conv(weights: WeightSource, inputs: int, outputs: int, taps: int, dilation: int = 1,
         after: np.ndarray | None = None) -> Conv1d:
    """A weight-normed convolution; `after` are the frequencies of the snake before it, by which its input is divided."""
    kernel = weight_norm(weights, outputs, inputs, taps)
    if after is not None:
        kernel = kernel / after[:, None]
    return Conv1d(kernel, weights.take("bias", outputs), padding=dilation * (taps // 2), dilation=dilation)
