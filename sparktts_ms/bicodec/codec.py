"""BiCodec: a voice and speech as ids, and back to a waveform. Source: arXiv 2503.01710, upstream `models/bicodec.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mindspore import Tensor, nn

from sparktts_ms.bicodec.prenet import Prenet
from sparktts_ms.bicodec.semantic import SemanticEncoder, SemanticQuantizer
from sparktts_ms.bicodec.speaker import FiniteScalarQuantizer, SpeakerDecoder, SpeakerEncoder
from sparktts_ms.bicodec.wave_generator import WaveGenerator, context_frames
from sparktts_ms.bicodec.windows import plan
from sparktts_ms.buckets import PROMPT_FRAMES, fit, keep_rows, pad_rows
from sparktts_ms.config import BiCodecConfig
from sparktts_ms.runtime import Runtime
from sparktts_ms.weights.source import WeightSource

SPEECH_FRAMES = (64, 256, 1024, 3072)      # 1.3 s to 60 s, what max_new_tokens allows by default

# What inference never runs: the feature decoder of training, the x-vector head, running counts.
LEFT_OUT = (r"postnet\..*", r"quantizer\.cluster_size", r"speaker_encoder\.speaker_encoder\.(pool|bn|linear)\..*",
            r".*\.num_batches_tracked", r"mel_transformer\..*")


class Colouring(nn.Cell):
    """Codes of speech and voice -> the wave generator's input: prenet output plus d-vector."""

    def __init__(self, quantizer: SemanticQuantizer, speaker: SpeakerDecoder, prenet: Prenet):
        super().__init__()
        self.quantizer, self.speaker, self.prenet = quantizer, speaker, prenet

    def construct(self, semantic_codes: Tensor, speaker_codes: Tensor, keep: Tensor) -> Tensor:
        # semantic_codes [T, 8], speaker_codes [32, 6], keep [T, 1] -> [T, D]
        d_vector = self.speaker(speaker_codes)
        return self.prenet(self.quantizer.expand(semantic_codes), d_vector, keep) + d_vector


class BiCodec:
    """The codec's four paths; arrays in and out, lengths free, shapes inside from a few fixed ones."""

    def __init__(self, path: Path, config: BiCodecConfig, runtime: Runtime):
        self.config = config
        weights = WeightSource(path)
        speaker = weights.at("speaker_encoder")
        self.levels = FiniteScalarQuantizer(config.speaker_encoder.fsq_levels)
        self.quantizer = SemanticQuantizer(weights.at("quantizer"), config.quantizer)
        encoder = SemanticEncoder(weights.at("encoder"), config.encoder)
        speaker_encoder = SpeakerEncoder(speaker, config.speaker_encoder)
        colouring = Colouring(self.quantizer, SpeakerDecoder(speaker, config.speaker_encoder),
                              Prenet(weights.at("prenet"), config.prenet))
        generator = WaveGenerator(weights.at("decoder"), config.decoder)
        weights.finish(LEFT_OUT)
        self.context = context_frames(config.decoder)

        def encode(features, keep):
            return self.quantizer(encoder(features, keep))

        def listen(mel):
            return speaker_encoder(mel)

        def colour(semantic_codes, speaker_codes, keep):
            return colouring(semantic_codes, speaker_codes, keep)

        def generate(frames, keep):
            return generator(frames, keep)

        self._encode = runtime.compile(encode, "semantic encoder")
        self._listen = runtime.compile(listen, "speaker encoder")
        self._colour = runtime.compile(colour, "prenet")
        self._generate = runtime.compile(generate, "wave generator")

    def semantic_ids(self, features: np.ndarray) -> np.ndarray:
        """wav2vec 2.0 features [T, F] of a recording -> its semantic ids [T]."""
        frames, bucket = len(features), fit(len(features), PROMPT_FRAMES)
        vectors = self._encode(Tensor(pad_rows(features, bucket)), Tensor(keep_rows(frames, bucket)))
        return self.quantizer.nearest(vectors.asnumpy()[:frames])

    def global_ids(self, mel: np.ndarray) -> np.ndarray:
        """Mel spectrogram [M, T] of the reference clip -> the voice's ids [32]."""
        return self.levels.ids(self._listen(Tensor(mel)).asnumpy())

    def decode(self, global_ids: np.ndarray, semantic_ids: np.ndarray) -> np.ndarray:
        """A voice [32] and at least one semantic id [T] -> samples [320 T], float32 in (-1, 1)."""
        return self.generate(self.colour(global_ids, semantic_ids))

    def colour(self, global_ids: np.ndarray, semantic_ids: np.ndarray) -> np.ndarray:
        """The wave generator's input [T, D]."""
        frames, bucket = len(semantic_ids), fit(len(semantic_ids), SPEECH_FRAMES)
        codes = pad_rows(self.quantizer.codes(semantic_ids), bucket)
        coloured = self._colour(Tensor(codes), Tensor(self.levels.codes(global_ids)), Tensor(keep_rows(frames, bucket)))
        return coloured.asnumpy()[:frames]

    def generate(self, coloured: np.ndarray) -> np.ndarray:
        """Coloured frames [T, D] -> samples [320 T]."""
        step, pieces = self.config.decoder.samples_per_token, []
        for window in plan(len(coloured), self.context):
            frames = coloured[window.start:window.start + window.size]
            samples = self._generate(Tensor(pad_rows(frames, window.size)), Tensor(keep_rows(len(frames), window.size)))
            pieces.append(samples.asnumpy()[(window.first - window.start) * step:(window.last - window.start) * step])
        return np.concatenate(pieces)
