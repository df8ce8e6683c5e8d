"""From a waveform to wav2vec 2.0 features."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from mindspore import Tensor

from sparktts_ms.config import Wav2Vec2Config
from sparktts_ms.ops.padding import PROMPT_FRAME_BUCKETS, pad_rows, padding_mask
from sparktts_ms.runtime import Runtime
from sparktts_ms.wav2vec2.encoder import load_wav2vec2


class FeatureExtractor:
    """wav2vec 2.0 on recordings of any length."""

    def __init__(self, path: Path, config: Wav2Vec2Config, runtime: Runtime):
        self.config = config
        self.runtime = runtime
        self.network: Callable = load_wav2vec2(path, config, runtime)
        # On the CPU there is no graph even without the kernels: it would save a fifth of the time,
        # but take seconds to compile for each bucket and keep 0.9 GB of weights in memory.
        wrap = runtime.bound_memory if runtime.device_target == "CPU" else runtime.compile
        self.network = wrap(self.network, "wav2vec 2.0")

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Samples [N >= 400] at 16 kHz -> features [(N - 400) // 320 + 1, C], float32."""
        frames = self.config.frames(len(samples))
        length = self.runtime.padded_length(frames, PROMPT_FRAME_BUCKETS)
        samples = normalize(samples)[:self.config.samples(frames)]
        padded = Tensor(pad_rows(samples, self.config.samples(length)))
        mask = None if self.runtime.variable_length else Tensor(padding_mask(frames, length))
        return self.network(padded, mask).asnumpy()[:frames]


def normalize(samples: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance, in float32, as the Hugging Face feature extractor does."""
    samples = samples.astype(np.float32)
    return (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
