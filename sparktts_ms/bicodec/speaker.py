"""The voice: a six-second clip becomes 32 global ids, and those become the d-vector.

Source: upstream `speaker_encoder.py`, arXiv 2309.15505 (finite scalar quantization).
"""

from collections.abc import Sequence

import numpy as np
from mindspore import Tensor, nn

from sparktts_ms.bicodec.ecapa import Ecapa
from sparktts_ms.bicodec.perceiver import Perceiver
from sparktts_ms.config import SpeakerEncoderConfig
from sparktts_ms.ops.linear import Linear
from sparktts_ms.weights.checkpoint import Checkpoint


class FiniteScalarQuantizer:
    """Each dimension is rounded to a few levels; these digits, least significant first, are the id.
    On the host, in float64."""

    def __init__(self, levels: Sequence[int]):
        self.levels = np.array(levels)
        self.basis = np.cumprod([1, *levels[:-1]])

    def bound(self, values: np.ndarray) -> np.ndarray:
        """Map [..., D] into the range whose rounding gives the levels."""
        half = (self.levels - 1) * 1.001 / 2
        offset = np.where(self.levels % 2 == 0, 0.5, 0.0)
        return np.tanh(values + np.arctanh(offset / half)) * half - offset

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """[..., D] -> ids [...], int32, below the product of the levels."""
        rounded = np.rint(self.bound(values.astype(np.float64))).astype(np.int64)
        return ((rounded + self.levels // 2) * self.basis).sum(-1).astype(np.int32)

    def dequantize(self, ids: np.ndarray) -> np.ndarray:
        """ids [...] -> codes [..., D] in [-1, 1], float32."""
        half = self.levels // 2
        digits = np.asarray(ids)[..., None] // self.basis % self.levels
        return ((digits - half) / half).astype(np.float32)


class SpeakerEncoder(nn.Cell):
    """Mel spectrogram -> the quantizer's input."""

    def __init__(self, weights: Checkpoint, config: SpeakerEncoderConfig):
        super().__init__()
        channels = config.ecapa_channels
        self.ecapa = Ecapa(weights.at("speaker_encoder"), config.input_dim, channels)
        self.perceiver = Perceiver(weights.at("perceiver_sampler"), 3 * channels,
                                   config.latent_dim, config.token_num)
        self.code_proj = Linear.load(weights.at("quantizer.project_in"),
                                                config.latent_dim, len(config.fsq_levels))

    def construct(self, mel: Tensor) -> Tensor:
        # mel [M, T] -> [32, 6]
        return self.code_proj(self.perceiver(self.ecapa(mel)))


class SpeakerDecoder(nn.Cell):
    """Codes of the global ids -> d-vector."""

    def __init__(self, weights: Checkpoint, config: SpeakerEncoderConfig):
        super().__init__()
        self.in_proj = Linear.load(weights.at("quantizer.project_out"),
                                              len(config.fsq_levels), config.latent_dim)
        self.out_proj = Linear.load(
            weights.at("project"), config.latent_dim * config.token_num, config.out_dim)

    def construct(self, codes: Tensor) -> Tensor:
        # codes [32, 6] -> [1, D]; flattened channel-major (channel * 32 + token)
        return self.out_proj(self.in_proj(codes).transpose(1, 0).reshape(1, -1))
