"""The prenet: semantic vectors, coloured by the voice, become the wave generator's input.

Source: upstream `feat_decoder.py`.
"""

from __future__ import annotations

from mindspore import Tensor, nn

from sparktts_ms.bicodec.backbone import Backbone, SamplingStage, linear
from sparktts_ms.config import FeatureStackConfig
from sparktts_ms.ops.activation import tanh
from sparktts_ms.weights.checkpoint import Checkpoint


class Prenet(nn.Cell):
    def __init__(self, weights: Checkpoint, config: FeatureStackConfig):
        super().__init__()
        dim = config.vocos_dim
        self.enter = linear(weights.at("linear_pre"), config.input_channels, dim)
        self.stages = nn.CellList([SamplingStage(weights.at(f"downsample.{n}.1"), config.backbone(dim, 2))
                                   for n in range(len(config.sample_ratios))])
        self.backbone = Backbone(weights.at("vocos_backbone"),
                                 config.backbone(dim, config.vocos_num_layers, conditioned=True))
        self.leave = linear(weights.at("linear"), dim, config.out_channels)
        self.squash = config.use_tanh_at_final

    def construct(self, z: Tensor, d_vector: Tensor, keep: Tensor | None) -> Tensor:
        # z [T, Z], d_vector [1, D], keep [T, 1] or None -> [T, D]
        x = self.enter(z)
        for stage in self.stages:
            x = stage(x, keep)
        x = self.leave(self.backbone(x, keep, d_vector))
        return tanh(x) if self.squash else x


def prenet_context(config: FeatureStackConfig) -> int:
    """How many frames on each side can change a frame of the prenet: three for each convolution of seven taps."""
    return 3 * (3 * len(config.sample_ratios) + 1 + config.vocos_num_layers)
