"""Semantic tokens: from wav2vec 2.0 features to ids, and from ids back to vectors. Source: upstream
`feat_encoder.py`, `factorized_vector_quantize.py`."""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, nn

from sparktts_ms.bicodec.backbone import Backbone, SamplingStage, linear
from sparktts_ms.config import FeatureStackConfig, QuantizerConfig
from sparktts_ms.ops.linear import Linear
from sparktts_ms.weights.checkpoint import Checkpoint, fuse_weight_norm


class SemanticEncoder(nn.Cell):
    """Features of 50 Hz frames -> code vectors, of which the quantizer knows the ids. `down` is the quantizer's."""

    def __init__(self, weights: Checkpoint, down: Checkpoint, config: FeatureStackConfig, codes: QuantizerConfig):
        super().__init__()
        self.backbone = Backbone(weights.at("encoder"), config.backbone(config.input_channels, config.vocos_num_layers))
        self.stages = nn.CellList([SamplingStage(weights.at(f"downsample.{n}.1"), config.backbone(config.vocos_dim, 2))
                                   for n in range(len(config.sample_ratios))])
        self.project = linear(weights.at("project"), config.vocos_dim, config.out_channels)
        dim, width = codes.codebook_dim, codes.input_dim
        self.down = Linear(fuse_weight_norm(down, dim, width, 1)[:, :, 0], down.take("bias", dim))

    def construct(self, features: Tensor, keep: Tensor | None) -> Tensor:
        # features [T, F], keep [T, 1] or None -> [T, 8]
        x = self.backbone(features, keep)
        for stage in self.stages:
            x = stage(x, keep)
        return self.down(self.project(x))


class SemanticQuantizer(nn.Cell):
    """Code vectors -> what the prenet reads."""

    def __init__(self, weights: Checkpoint, config: QuantizerConfig):
        super().__init__()
        dim, width, up = config.codebook_dim, config.input_dim, weights.at("out_project")
        self.up = Linear(fuse_weight_norm(up, width, dim, 1)[:, :, 0], up.take("bias", width))

    def construct(self, codes: Tensor) -> Tensor:
        # codes [T, 8] -> z_q [T, Z]
        return self.up(codes)


class Codebook:
    """The factorised codebook, on the host: from code vectors to ids (in float64, since two codes may lie 1e-5 apart) and
    back."""

    def __init__(self, weights: Checkpoint, config: QuantizerConfig):
        self.rows = weights.take("weight", config.codebook_size, config.codebook_dim)
        self.directions = unit_rows(self.rows)

    def nearest(self, vectors: np.ndarray) -> np.ndarray:
        """Ids [T] of the codes with the largest cosine to `vectors` [T, 8]."""
        return (unit_rows(vectors) @ self.directions.T).argmax(axis=1).astype(np.int32)

    def codes(self, ids: np.ndarray) -> np.ndarray:
        """Raw codebook rows [T, 8] of `ids` [T]."""
        return self.rows[ids]


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows divided by their lengths, float64."""
    rows = rows.astype(np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
