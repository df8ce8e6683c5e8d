"""From a waveform to wav2vec 2.0 features: zero mean, unit variance, one padded pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mindspore import Tensor

from sparktts_ms.config import Wav2Vec2Config
from sparktts_ms.ops.padding import PROMPT_FRAME_BUCKETS, pad_rows, row_mask
from sparktts_ms.runtime import Runtime
from sparktts_ms.wav2vec2.encoder import load_wav2vec2


class FeatureExtractor:
    """wav2vec 2.0 on recordings of any length."""

    def __init__(self, path: Path, config: Wav2Vec2Config, runtime: Runtime):
        self.config, self.runtime = config, runtime
        network = load_wav2vec2(path, config)

        def encode(samples, keep):
            return network(samples, keep)

        # Without the CPU kernels it still is no graph there: that would save a fifth of the time, cost seconds of compiling
        # for each length, and keep 0.9 GB of weights in memory for good.
        self.encode = encode if runtime.target == "CPU" else runtime.compile(encode, "wav2vec 2.0")

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Samples [N] at 16 kHz, N at least 400 -> features [T, C] float32, T = floor((N - 400) / 320) + 1."""
        frames = self.config.frames(len(samples))
        bucket = self.runtime.padded_length(frames, PROMPT_FRAME_BUCKETS)
        padded = pad_rows(standardise(samples)[:self.config.samples(frames)], self.config.samples(bucket))
        keep = None if self.runtime.any_length else Tensor(row_mask(frames, bucket))
        return self.encode(Tensor(padded), keep).asnumpy()[:frames]


def standardise(samples: np.ndarray) -> np.ndarray:
    """Zero mean, unit (population) variance, in float32 as the Hugging Face feature extractor computes it."""
    samples = samples.astype(np.float32)
    return (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
