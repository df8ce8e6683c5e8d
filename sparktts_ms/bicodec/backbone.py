"""The Vocos backbone: ConvNeXt blocks over 50 Hz frames, shared by semantic encoder and prenet.

Frames beyond the end of an utterance are kept at zero before each convolution (`keep` is 1 for a real frame, else 0; None
if all are real), so a padded bucket gives the real frames exactly what the bare utterance gives. Source: upstream `vocos.py`.
"""

from __future__ import annotations

from mindspore import Tensor, nn

from sparktts_ms.config import BackboneConfig
from sparktts_ms.ops.convolution import FrameConv
from sparktts_ms.ops.linear import Linear
from sparktts_ms.ops.normalization import LayerNorm
from sparktts_ms.weights.checkpoint import Checkpoint

EPS = 1e-6


class Norm(nn.Cell):
    """LayerNorm; with a condition its scale and shift are predicted from the speaker vector (scale, not 1 + scale)."""

    def __init__(self, weights: Checkpoint, dim: int, condition_dim: int | None):
        super().__init__()
        self.conditioned = condition_dim is not None
        if condition_dim is None:
            self.normalise = LayerNorm(weights.take("weight", dim), weights.take("bias", dim), EPS)
        else:
            self.normalise = LayerNorm(None, None, EPS)
            self.scale = linear(weights.at("scale"), condition_dim, dim)
            self.shift = linear(weights.at("shift"), condition_dim, dim)

    def construct(self, x: Tensor, condition: Tensor | None) -> Tensor:
        # x [T, C], condition [1, D] or None -> [T, C]
        if self.conditioned:
            return self.normalise(x, self.scale(condition).reshape(-1), self.shift(condition).reshape(-1))
        return self.normalise(x)


class Block(nn.Cell):
    """Depthwise convolution, norm, two linear layers; the learned gain `gamma` is folded into the second."""

    def __init__(self, weights: Checkpoint, config: BackboneConfig):
        super().__init__()
        dim, inner = config.dim, config.intermediate_dim
        self.depthwise = frame_conv(weights.at("dwconv"), dim, dim, groups=dim)
        self.norm = Norm(weights.at("norm"), dim, config.condition_dim)
        widen = weights.at("pwconv1")
        self.widen = Linear(widen.take("weight", inner, dim), widen.take("bias", inner), gelu=True)
        gamma, narrow = weights.take("gamma", dim), weights.at("pwconv2")
        self.narrow = Linear(narrow.take("weight", dim, inner) * gamma[:, None], narrow.take("bias", dim) * gamma)

    def construct(self, x: Tensor, keep: Tensor | None, condition: Tensor | None) -> Tensor:
        return self.narrow(self.widen(self.norm(self.depthwise(x, keep), condition)), x)


class Backbone(nn.Cell):
    """Embedding convolution, norm, blocks, final norm."""

    def __init__(self, weights: Checkpoint, config: BackboneConfig):
        super().__init__()
        self.embed = frame_conv(weights.at("embed"), config.input_channels, config.dim)
        self.norm = Norm(weights.at("norm"), config.dim, config.condition_dim)
        self.blocks = nn.CellList([Block(weights.at(f"convnext.{n}"), config) for n in range(config.layers)])
        self.final_norm = Norm(weights.at("final_layer_norm"), config.dim, None)

    def construct(self, x: Tensor, keep: Tensor | None, condition: Tensor | None = None) -> Tensor:
        # x [T, I], keep [T, 1], condition [1, D] -> [T, C]
        x = self.norm(self.embed(x, keep), condition)
        for block in self.blocks:
            x = block(x, keep, condition)
        return self.final_norm(x, None)


class SamplingStage(nn.Cell):
    """A resampling block at rate 1, which is three times its input (the input and two identical skip paths), then a
    backbone of two layers."""

    def __init__(self, weights: Checkpoint, config: BackboneConfig):
        super().__init__()
        self.backbone = Backbone(weights, config)

    def construct(self, x: Tensor, keep: Tensor | None) -> Tensor:
        return self.backbone(3.0 * x, keep)


def linear(weights: Checkpoint, inputs: int, outputs: int) -> Linear:
    """The linear layer stored as `weight` (out, in) and `bias`."""
    return Linear(weights.take("weight", outputs, inputs), weights.take("bias", outputs))


def frame_conv(weights: Checkpoint, inputs: int, outputs: int, groups: int = 1) -> FrameConv:
    """A convolution of seven taps over frames."""
    return FrameConv(weights.take("weight", outputs, inputs // groups, 7), weights.take("bias", outputs), groups)
