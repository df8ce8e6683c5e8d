"""The Vocos backbone: ConvNeXt blocks over 50 Hz frames, shared by semantic encoder and prenet.

Padding frames are set to zero before each convolution (`mask` [T, 1] is 1 for a valid frame, else
0; None: all are valid), so the valid frames of a padded utterance come out as without padding.
Source: upstream `vocos.py`.
"""

from mindspore import Tensor, nn

from sparktts_ms.config import BackboneConfig, FeatureStackConfig
from sparktts_ms.ops.convolution import FrameConv
from sparktts_ms.ops.linear import Linear
from sparktts_ms.ops.normalization import LayerNorm
from sparktts_ms.weights.checkpoint import Checkpoint

EPS = 1e-6


class ConditionalLayerNorm(nn.Cell):
    """LayerNorm; with a `condition_dim` its scale and shift are predicted from the d-vector (scale,
    not 1 + scale)."""

    def __init__(self, weights: Checkpoint, dim: int, condition_dim: int | None = None):
        super().__init__()
        self.conditioned = condition_dim is not None
        if condition_dim is None:
            self.norm = LayerNorm.from_checkpoint(weights, dim, EPS)
        else:
            self.norm = LayerNorm(None, None, EPS)
            self.scale = Linear.from_checkpoint(weights.at("scale"), condition_dim, dim)
            self.shift = Linear.from_checkpoint(weights.at("shift"), condition_dim, dim)

    def construct(self, x: Tensor, condition: Tensor | None) -> Tensor:
        # x [T, C], condition [1, D] or None -> [T, C]
        if not self.conditioned:
            return self.norm(x)
        return self.norm(x, self.scale(condition).reshape(-1), self.shift(condition).reshape(-1))


class ConvNeXtBlock(nn.Cell):
    """Depthwise convolution, norm, two linear layers; the layer scale `gamma` is folded into the
    second."""

    def __init__(self, weights: Checkpoint, config: BackboneConfig):
        super().__init__()
        dim = config.dim
        inner = config.intermediate_dim
        self.depthwise = frame_conv(weights.at("dwconv"), dim, dim, groups=dim)
        self.norm = ConditionalLayerNorm(weights.at("norm"), dim, config.condition_dim)
        self.up_proj = Linear.from_checkpoint(weights.at("pwconv1"), dim, inner, gelu=True)
        gamma = weights.take("gamma", dim)
        matrix = weights.at("pwconv2").take("weight", dim, inner) * gamma[:, None]
        self.down_proj = Linear(matrix, weights.at("pwconv2").take("bias", dim) * gamma)

    def construct(self, x: Tensor, mask: Tensor | None, condition: Tensor | None) -> Tensor:
        y = self.norm(self.depthwise(x, mask), condition)
        return self.down_proj(self.up_proj(y), x)


class Backbone(nn.Cell):
    """Embedding convolution, norm, blocks, final norm."""

    def __init__(self, weights: Checkpoint, config: BackboneConfig):
        super().__init__()
        self.embed = frame_conv(weights.at("embed"), config.input_channels, config.dim)
        self.norm = ConditionalLayerNorm(weights.at("norm"), config.dim, config.condition_dim)
        self.blocks = nn.CellList([ConvNeXtBlock(weights.at(f"convnext.{n}"), config)
                                   for n in range(config.layers)])
        self.final_norm = ConditionalLayerNorm(weights.at("final_layer_norm"), config.dim)

    def construct(self, x: Tensor, mask: Tensor | None, condition: Tensor | None = None) -> Tensor:
        # x [T, I], mask [T, 1], condition [1, D] -> [T, C]
        x = self.norm(self.embed(x, mask), condition)
        for block in self.blocks:
            x = block(x, mask, condition)
        return self.final_norm(x, None)


class SamplingStage(nn.Cell):
    """Resampling at rate 1, which is three times its input (the input and two identical skip
    paths), then a backbone of two layers."""

    def __init__(self, weights: Checkpoint, config: BackboneConfig):
        super().__init__()
        self.backbone = Backbone(weights, config)

    def construct(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self.backbone(3.0 * x, mask)


def sampling_stages(weights: Checkpoint, config: FeatureStackConfig) -> nn.CellList:
    """The sampling stages of a semantic encoder or prenet."""
    backbone = config.backbone(config.vocos_dim, 2)
    return nn.CellList([SamplingStage(weights.at(f"downsample.{n}.1"), backbone)
                        for n in range(len(config.sample_ratios))])


def frame_conv(weights: Checkpoint, inputs: int, outputs: int, groups: int = 1) -> FrameConv:
    """The convolution of kernel size 7 stored as `weight` and `bias`."""
    kernel = weights.take("weight", outputs, inputs // groups, 7)
    return FrameConv(kernel, weights.take("bias", outputs), groups)
