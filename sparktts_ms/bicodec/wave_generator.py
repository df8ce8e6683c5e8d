"""The wave generator: 50 frames a second become 16,000 samples. Source: upstream `wave_generator.py`.

Weight norm is folded. Whatever lies outside the utterance (`keep` 0) is kept at zero where a convolution with more than
one tap reads it, so a window that reaches past either end gives the same samples as the bare utterance.
"""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, nn, ops

from sparktts_ms.config import WaveGeneratorConfig
from sparktts_ms.ops.activation import tanh
from sparktts_ms.ops.convolution import Conv, Conv7, ResidualUnit, Upsample, as_signal
from sparktts_ms.ops.masking import kept
from sparktts_ms.weights.checkpoint import Checkpoint, fuse_weight_norm

DILATIONS = (1, 3, 9)


class UpsamplingStage(nn.Cell):
    """Snake, transposed convolution to half the channels, three residual units."""

    def __init__(self, weights: Checkpoint, inputs: int, rate: int, taps: int):
        super().__init__()
        outputs = inputs // 2
        self.rate = rate
        frequency, up = frequencies(weights.at("0"), inputs), weights.at("1")
        kernel = fuse_weight_norm(up, inputs, outputs, taps) / frequency[:, None, None]
        self.up = Upsample(kernel, up.take("bias", outputs), rate, frequency)
        self.units = nn.CellList([residual_unit(weights.at(f"{2 + n}.block"), outputs, dilation)
                                  for n, dilation in enumerate(DILATIONS)])

    def construct(self, x: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor | None]:
        # a signal of T frames, keep [T, 1] -> a signal of rate T, [rate T, 1]
        if keep is not None:
            keep = ops.tile(keep, (1, self.rate)).reshape(-1, 1)
        x = kept(self.up(x), keep)
        for unit in self.units:
            x = kept(unit(x), keep)
        return x, keep


class WaveGenerator(nn.Cell):
    def __init__(self, weights: Checkpoint, config: WaveGeneratorConfig):
        super().__init__()
        enter = weights.at("model.0")
        self.enter = Conv7(fuse_weight_norm(enter, config.channels, config.input_channel, 7), enter.take("bias", config.channels))
        stages, channels = [], config.channels
        for n, (rate, taps) in enumerate(zip(config.rates, config.kernel_sizes, strict=True)):
            stages.append(UpsamplingStage(weights.at(f"model.{n + 1}.block"), channels, rate, taps))
            channels //= 2
        self.stages = nn.CellList(stages)
        frequency = frequencies(weights.at(f"model.{len(stages) + 1}"), channels)
        kernel, bias, _ = after_snake(weights.at(f"model.{len(stages) + 2}"), frequency, 1, 7)
        self.leave = Conv(kernel, bias, padding=3, frequency=frequency)

    def construct(self, x: Tensor, keep: Tensor | None) -> Tensor:
        # x [T, D], keep [T, 1] (1 for a frame of the utterance; None: all are) -> [320 T]
        x = kept(self.enter(as_signal(x if keep is None else x * keep)), keep)
        for stage in self.stages:
            x, keep = stage(x, keep)
        return tanh(self.leave(x)).reshape(-1)


def context_frames(config: WaveGeneratorConfig) -> int:
    """How many frames on each side can change a frame's samples."""
    reach = 3                       # of the last convolution, in samples
    for rate, taps in zip(reversed(config.rates), reversed(config.kernel_sizes), strict=True):
        padding = (taps - rate) // 2
        reach += 3 * sum(DILATIONS)
        reach = max((rate - 1 + reach + padding) // rate, (reach - padding + taps - 1) // rate)
    return reach + 3


def frequencies(weights: Checkpoint, channels: int) -> np.ndarray:
    """The snake's frequency of each channel [C]; one of zero (no snake there) becomes tiny, as upstream's 1e-9 does."""
    alpha = weights.take("alpha", 1, channels, 1).reshape(-1)
    return np.where(np.abs(alpha) < 1e-6, np.float32(1e-6), alpha)


def residual_unit(weights: Checkpoint, channels: int, dilation: int) -> ResidualUnit:
    first, second = frequencies(weights.at("0"), channels), frequencies(weights.at("2"), channels)
    return ResidualUnit(after_snake(weights.at("1"), first, channels, 7), after_snake(weights.at("3"), second, channels, 1),
                        dilation)


def after_snake(weights: Checkpoint, frequency: np.ndarray, outputs: int, taps: int) -> tuple[np.ndarray, ...]:
    """Kernel, bias and frequency of a weight-normed convolution whose input is a snake, divided by its frequency."""
    kernel = fuse_weight_norm(weights, outputs, len(frequency), taps) / frequency[:, None]
    return kernel, weights.take("bias", outputs), frequency
