"""The prenet: semantic vectors, conditioned on the speaker, become the wave generator's input.

Source: upstream `feat_decoder.py`.
"""

from mindspore import Tensor, nn

from sparktts_ms.bicodec.backbone import Backbone, sampling_stages
from sparktts_ms.config import FeatureStackConfig
from sparktts_ms.ops.activation import tanh
from sparktts_ms.ops.linear import Linear
from sparktts_ms.weights.checkpoint import Checkpoint


class Prenet(nn.Cell):
    def __init__(self, weights: Checkpoint, config: FeatureStackConfig):
        super().__init__()
        dim = config.vocos_dim
        self.in_proj = Linear.load(weights.at("linear_pre"), config.input_channels, dim)
        self.stages = sampling_stages(weights, config)
        self.backbone = Backbone(weights.at("vocos_backbone"), config, dim,
                                 config.vocos_num_layers, config.condition_dim)
        self.out_proj = Linear.load(weights.at("linear"), dim, config.out_channels)
        self.final_tanh = config.use_tanh_at_final

    def construct(self, z: Tensor, d_vector: Tensor, mask: Tensor | None) -> Tensor:
        # z [T, Z], d_vector [1, D], mask [T, 1] or None -> [T, D]
        x = self.in_proj(z)
        for stage in self.stages:
            x = stage(3.0 * x, mask)
        x = self.out_proj(self.backbone(x, mask, d_vector))
        return tanh(x) if self.final_tanh else x


def receptive_field(config: FeatureStackConfig) -> int:
    """Frames on each side that can change an output frame: three for each convolution."""
    return 3 * (3 * len(config.sample_ratios) + 1 + config.vocos_num_layers)
