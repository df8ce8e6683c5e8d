"""The wave generator (vocoder): 50 frames a second become 16,000 samples.

Weight norm is folded. Where `mask` is 0, outside the utterance, the input of each convolution with
a kernel larger than one is set to zero, so a window that reaches past either end gives the same
samples as the bare utterance. Source: upstream `wave_generator.py`.
"""

import numpy as np
from mindspore import Tensor, nn

from sparktts_ms.config import WaveGeneratorConfig
from sparktts_ms.ops import convolution
from sparktts_ms.ops.activation import tanh
from sparktts_ms.ops.convolution import to_conv_layout
from sparktts_ms.ops.planes import apply_mask, repeat_mask
from sparktts_ms.ops.residual_unit import ResidualUnitWeights, SnakeConvWeights
from sparktts_ms.weights.checkpoint import Checkpoint, fuse_weight_norm

DILATIONS = (1, 3, 9)


class UpsamplingStage(nn.Cell):
    """Snake, transposed convolution to half the channels, three residual units. tiles: see
    `upsampling_stage`."""

    def __init__(self, weights: Checkpoint, inputs: int, rate: int, kernel_size: int, tiles: bool):
        super().__init__()
        outputs = inputs // 2
        self.rate = rate
        alpha = snake_alpha(weights.at("0"), inputs)
        kernel = fuse_weight_norm(weights.at("1"), inputs, outputs, kernel_size)
        bias = weights.at("1").take("bias", outputs)
        kernel = kernel / alpha[:, None, None]      # the former array goes, for the peak of memory
        up = SnakeConvWeights(kernel, bias, alpha)
        del kernel
        units = (residual_unit(weights.at(f"{n}.block"), outputs, dilation)
                 for n, dilation in enumerate(DILATIONS, 2))
        self.layers = nn.CellList(convolution.upsampling_stage(up, rate, units, tiles))

    def construct(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        # x of T frames, mask [T, 1] -> x of rate T frames, mask [rate T, 1]
        mask = repeat_mask(mask, self.rate)
        for layer in self.layers:
            x = apply_mask(layer(x), mask)
        return x, mask


class WaveGenerator(nn.Cell):
    """tiles: see `upsampling_stage`."""

    def __init__(self, weights: Checkpoint, config: WaveGeneratorConfig, tiles: bool = False):
        super().__init__()
        channels = config.channels
        first = weights.at("model.0")
        kernel = fuse_weight_norm(first, channels, config.input_channel, 7)
        self.conv_pre = convolution.conv7(kernel, first.take("bias", channels), tiles)
        stages = []
        for n, (rate, size) in enumerate(zip(config.rates, config.kernel_sizes, strict=True), 1):
            stage = weights.at(f"model.{n}.block")
            stages.append(UpsamplingStage(stage, channels, rate, size, tiles))
            channels //= 2
        self.stages = nn.CellList(stages)
        post = snake_conv(weights.at(f"model.{len(stages) + 1}"),
                          weights.at(f"model.{len(stages) + 2}"), channels, 1, 7)
        self.conv_post = convolution.conv(post.kernel, post.bias, padding=3, alpha=post.alpha)

    def construct(self, x: Tensor, mask: Tensor | None) -> Tensor:
        # x [T, D], mask [T, 1] (1 for a frame of the utterance; None: all are) -> [320 T]
        x = self.conv_pre(to_conv_layout(x if mask is None else x * mask))
        x = apply_mask(x, mask)
        for stage in self.stages:
            x, mask = stage(x, mask)
        return tanh(self.conv_post(x).reshape(-1))


def receptive_field(config: WaveGeneratorConfig) -> int:
    """Frames on each side that can change a frame's samples."""
    reach = 3                       # of the last convolution, in samples
    for rate, size in zip(reversed(config.rates), reversed(config.kernel_sizes), strict=True):
        padding = (size - rate) // 2
        reach += 3 * sum(DILATIONS)
        reach = max((rate - 1 + reach + padding) // rate, (reach - padding + size - 1) // rate)
    return reach + 3


def snake_alpha(weights: Checkpoint, channels: int) -> np.ndarray:
    """The snake's alpha of each channel [C]; zero (no snake there) becomes tiny, like upstream's
    1e-9."""
    alpha = weights.take("alpha", 1, channels, 1).reshape(-1)
    return np.where(np.abs(alpha) < 1e-6, np.float32(1e-6), alpha)


def snake_conv(snake: Checkpoint, conv: Checkpoint, inputs: int, outputs: int,
               kernel_size: int) -> SnakeConvWeights:
    """A weight-normed convolution whose input passes a snake."""
    alpha = snake_alpha(snake, inputs)
    kernel = fuse_weight_norm(conv, outputs, inputs, kernel_size) / alpha[:, None]
    return SnakeConvWeights(kernel, conv.take("bias", outputs), alpha)


def residual_unit(block: Checkpoint, channels: int, dilation: int) -> ResidualUnitWeights:
    """The unit stored as snake, convolution, snake, convolution."""
    conv1 = snake_conv(block.at("0"), block.at("1"), channels, channels, 7)
    conv2 = snake_conv(block.at("2"), block.at("3"), channels, channels, 1)
    return ResidualUnitWeights(conv1, conv2, dilation)
