"""Semantic tokens: from wav2vec 2.0 features to ids, and from ids back to vectors.

Source: upstream `feat_encoder.py`, `factorized_vector_quantize.py`.
"""

import numpy as np
from mindspore import Tensor, nn

from sparktts_ms.bicodec.backbone import Backbone, sampling_stages
from sparktts_ms.config import FeatureStackConfig, QuantizerConfig
from sparktts_ms.ops.linear import Linear
from sparktts_ms.weights.checkpoint import Checkpoint, fuse_weight_norm


class SemanticEncoder(nn.Cell):
    """Features of 50 Hz frames -> code vectors. `code_weights`: the quantizer's projection."""

    def __init__(self, weights: Checkpoint, code_weights: Checkpoint, config: FeatureStackConfig,
                 quantizer: QuantizerConfig):
        super().__init__()
        self.backbone = Backbone(weights.at("encoder"), config, config.input_channels,
                                 config.vocos_num_layers)
        self.stages = sampling_stages(weights, config)
        self.out_proj = Linear.load(weights.at("project"), config.vocos_dim, config.out_channels)
        self.code_proj = pointwise_conv(code_weights, quantizer.input_dim, quantizer.codebook_dim)

    def construct(self, features: Tensor, mask: Tensor | None) -> Tensor:
        # features [T, F], mask [T, 1] or None -> [T, 8]
        x = self.backbone(features, mask)
        for stage in self.stages:
            x = stage(3.0 * x, mask)
        return self.code_proj(self.out_proj(x))


class Codebook:
    """The factorised codebook, on the host, in float64 because two codes may lie 1e-5 apart."""

    def __init__(self, weights: Checkpoint, config: QuantizerConfig):
        self.codes = weights.take("weight", config.codebook_size, config.codebook_dim)
        self.unit_codes = normalize(self.codes)

    def quantize(self, vectors: np.ndarray) -> np.ndarray:
        """Ids [T], int32, of the codes with the largest cosine similarity to `vectors` [T, 8]."""
        return (normalize(vectors) @ self.unit_codes.T).argmax(axis=1).astype(np.int32)

    def dequantize(self, ids: np.ndarray) -> np.ndarray:
        """Codes [T, 8], float32, of `ids` [T]."""
        return self.codes[ids]


def normalize(rows: np.ndarray) -> np.ndarray:
    """Rows divided by their lengths, float64."""
    rows = rows.astype(np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def pointwise_conv(weights: Checkpoint, inputs: int, outputs: int) -> Linear:
    """A weight-normed convolution of kernel size 1 as a linear layer."""
    kernel = fuse_weight_norm(weights, outputs, inputs, 1)
    return Linear(kernel[:, :, 0], weights.take("bias", outputs), frames=True)
