"""The Vocos backbone: ConvNeXt blocks over 50 Hz frames, shared by semantic encoder and prenet.

Padding frames are set to zero before each convolution (`mask` [T, 1] is 1 for a valid frame, else
0; None: all are valid), so the valid frames of a padded utterance come out as without padding.
Source: upstream `vocos.py`.
"""

from collections.abc import Iterable

import numpy as np
from mindspore import Tensor, nn

from sparktts_ms.config import FeatureStackConfig
from sparktts_ms.ops.convolution import FrameConv
from sparktts_ms.ops.linear import Linear
from sparktts_ms.ops.normalization import LayerNorm
from sparktts_ms.ops.planes import select, split
from sparktts_ms.weights.checkpoint import Checkpoint

EPS = 1e-6


class NormPredictor(nn.Cell):
    """Scale (not 1 + scale) and shift of each of a backbone's norms, from the condition."""

    def __init__(self, norms: Iterable[Checkpoint], condition_dim: int, dim: int):
        super().__init__()
        self.dim = dim
        matrices = []
        biases = []
        for norm in norms:
            for part in (norm.at("scale"), norm.at("shift")):
                matrices.append(part.take("weight", dim, condition_dim))
                biases.append(part.take("bias", dim))
        self.linear = Linear(np.concatenate(matrices), np.concatenate(biases))

    def construct(self, condition: Tensor) -> tuple[Tensor, ...]:
        # condition [1, D] -> scale and shift [C] of the first norm, of the second norm, ...
        return split(select(self.linear(condition), 0), self.dim)


class ConvNeXtBlock(nn.Cell):
    """Depthwise convolution, norm, two linear layers; the layer scale is folded into the second."""

    def __init__(self, weights: Checkpoint, dim: int, inner: int, conditioned: bool):
        super().__init__()
        self.depthwise = frame_conv(weights.at("dwconv"), dim, dim, groups=dim)
        self.norm = layer_norm(weights.at("norm"), dim, conditioned)
        self.up_proj = Linear.load(weights.at("pwconv1"), dim, inner, gelu=True)
        gamma = weights.take("gamma", dim)
        matrix = weights.at("pwconv2").take("weight", dim, inner) * gamma[:, None]
        bias = weights.at("pwconv2").take("bias", dim) * gamma
        self.down_proj = Linear(matrix, bias, frames=True)

    def construct(self, x: Tensor, mask: Tensor | None, scale: Tensor | None,
                  shift: Tensor | None) -> Tensor:
        # x [T, C], mask [T, 1] or None, scale and shift of the norm [C] or None -> [T, C]
        y = self.norm(self.depthwise(x, mask), scale, shift)
        return self.down_proj(self.up_proj(y), x)


class Backbone(nn.Cell):
    """Embedding convolution, norm, blocks, final norm; with `condition_dim` all norms but the last
    are predicted."""

    def __init__(self, weights: Checkpoint, config: FeatureStackConfig, inputs: int, layers: int,
                 condition_dim: int | None = None):
        super().__init__()
        dim = config.vocos_dim
        inner = config.vocos_intermediate_dim
        self.conditioned = condition_dim is not None
        self.unconditioned_norms = (None,) * (2 * (layers + 1))
        if condition_dim is not None:
            norms = [weights.at("norm")]
            norms += [weights.at(f"convnext.{n}.norm") for n in range(layers)]
            self.predict = NormPredictor(norms, condition_dim, dim)
        self.embed = frame_conv(weights.at("embed"), inputs, dim)
        self.norm = layer_norm(weights.at("norm"), dim, self.conditioned)
        self.blocks = nn.CellList([
            ConvNeXtBlock(weights.at(f"convnext.{n}"), dim, inner, self.conditioned)
            for n in range(layers)])
        self.final_norm = layer_norm(weights.at("final_layer_norm"), dim, conditioned=False)

    def construct(self, x: Tensor, mask: Tensor | None, condition: Tensor | None = None) -> Tensor:
        # x [T, I], mask [T, 1] or None, condition [1, D] or None -> [T, C]
        norms = self.predict(condition) if self.conditioned else self.unconditioned_norms
        x = self.norm(self.embed(x, mask), norms[0], norms[1])
        for n, block in enumerate(self.blocks, 1):
            x = block(x, mask, norms[2 * n], norms[2 * n + 1])
        return self.final_norm(x)


def sampling_stages(weights: Checkpoint, config: FeatureStackConfig) -> nn.CellList:
    """The backbones after each resampling block. At rate 1 such a block gives three times its
    input (it and two identical skip paths), so a stage's input is multiplied by 3."""
    return nn.CellList([
        Backbone(weights.at(f"downsample.{n}.1"), config, config.vocos_dim, layers=2)
        for n in range(len(config.sample_ratios))])


def frame_conv(weights: Checkpoint, inputs: int, outputs: int, groups: int = 1) -> FrameConv:
    """The convolution of kernel size 7 stored as `weight` and `bias`."""
    kernel = weights.take("weight", outputs, inputs // groups, 7)
    return FrameConv(kernel, weights.take("bias", outputs), groups)


def layer_norm(weights: Checkpoint, dim: int, conditioned: bool) -> LayerNorm:
    """The norm stored as `weight` and `bias`, or one that gets them in each call."""
    return LayerNorm(None, None, EPS) if conditioned else LayerNorm.load(weights, dim, EPS)
