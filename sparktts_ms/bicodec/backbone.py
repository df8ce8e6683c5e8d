"""The Vocos backbone: ConvNeXt blocks over 50 Hz frames, shared by semantic encoder and prenet.

Padding frames are set to zero before each convolution (`mask` [T, 1] is 1 for a valid frame, else
0; None: all are valid), so the valid frames of a padded utterance come out as without padding.
Source: upstream `vocos.py`.
"""

from mindspore import Tensor, nn

from sparktts_ms.config import FeatureStackConfig
from sparktts_ms.ops.convolution import FrameConv
from sparktts_ms.ops.linear import Linear
from sparktts_ms.ops.normalization import LayerNorm
from sparktts_ms.weights.checkpoint import Checkpoint

EPS = 1e-6


class ConditionalLayerNorm(nn.Cell):
    """LayerNorm; with `condition_dim` its scale (not 1 + scale) and shift are predicted."""

    def __init__(self, weights: Checkpoint, dim: int, condition_dim: int | None = None):
        super().__init__()
        self.conditioned = condition_dim is not None
        if condition_dim is None:
            self.norm = LayerNorm.load(weights, dim, EPS)
        else:
            self.norm = LayerNorm(None, None, EPS)
            self.scale = Linear.load(weights.at("scale"), condition_dim, dim)
            self.shift = Linear.load(weights.at("shift"), condition_dim, dim)

    def construct(self, x: Tensor, condition: Tensor | None) -> Tensor:
        # x [T, C], condition [1, D] or None -> [T, C]
        if not self.conditioned:
            return self.norm(x)
        return self.norm(x, self.scale(condition).reshape(-1), self.shift(condition).reshape(-1))


class ConvNeXtBlock(nn.Cell):
    """Depthwise convolution, norm, two linear layers; the layer scale is folded into the second."""

    def __init__(self, weights: Checkpoint, dim: int, inner: int, condition_dim: int | None):
        super().__init__()
        self.depthwise = frame_conv(weights.at("dwconv"), dim, dim, groups=dim)
        self.norm = ConditionalLayerNorm(weights.at("norm"), dim, condition_dim)
        self.up_proj = Linear.load(weights.at("pwconv1"), dim, inner, gelu=True)
        gamma = weights.take("gamma", dim)
        matrix = weights.at("pwconv2").take("weight", dim, inner) * gamma[:, None]
        self.down_proj = Linear(matrix, weights.at("pwconv2").take("bias", dim) * gamma)

    def construct(self, x: Tensor, mask: Tensor | None, condition: Tensor | None) -> Tensor:
        y = self.norm(self.depthwise(x, mask), condition)
        return self.down_proj(self.up_proj(y), x)


class Backbone(nn.Cell):
    """Embedding convolution, norm, blocks, final norm."""

    def __init__(self, weights: Checkpoint, config: FeatureStackConfig, inputs: int, layers: int,
                 condition_dim: int | None = None):
        super().__init__()
        dim = config.vocos_dim
        inner = config.vocos_intermediate_dim
        self.embed = frame_conv(weights.at("embed"), inputs, dim)
        self.norm = ConditionalLayerNorm(weights.at("norm"), dim, condition_dim)
        self.blocks = nn.CellList([
            ConvNeXtBlock(weights.at(f"convnext.{n}"), dim, inner, condition_dim)
            for n in range(layers)])
        self.final_norm = ConditionalLayerNorm(weights.at("final_layer_norm"), dim)

    def construct(self, x: Tensor, mask: Tensor | None, condition: Tensor | None = None) -> Tensor:
        # x [T, I], mask [T, 1], condition [1, D] -> [T, C]
        x = self.norm(self.embed(x, mask), condition)
        for block in self.blocks:
            x = block(x, mask, condition)
        return self.final_norm(x, None)


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
