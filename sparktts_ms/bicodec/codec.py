"""BiCodec: a voice and speech as ids, and back to a waveform. Source: arXiv 2503.01710, upstream `models/bicodec.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from mindspore import Tensor, nn

from sparktts_ms.bicodec.chunking import WINDOWS, plan
from sparktts_ms.bicodec.prenet import Prenet, prenet_context
from sparktts_ms.bicodec.semantic import Codebook, SemanticEncoder, SemanticQuantizer
from sparktts_ms.bicodec.speaker import FiniteScalarQuantizer, SpeakerDecoder, SpeakerEncoder
from sparktts_ms.bicodec.wave_generator import WaveGenerator, context_frames
from sparktts_ms.config import BiCodecConfig
from sparktts_ms.ops.padding import PROMPT_FRAME_BUCKETS, pad_rows, row_mask
from sparktts_ms.runtime import Runtime
from sparktts_ms.weights.checkpoint import Checkpoint

SPEECH_FRAMES = (64, 256, 1024, 3072)      # 1.3 s to 60 s, what max_new_tokens allows by default

# What each part is made of, as patterns of tensor names, and what inference never runs: the feature decoder of training,
# the x-vector head, running counts.
SEMANTIC_ENCODER = (r"encoder\..*", r"quantizer\.in_project\..*")
SPEAKER_ENCODER = (r"speaker_encoder\.(speaker_encoder|perceiver_sampler|quantizer\.project_in)\..*",)
CODEBOOK = (r"quantizer\.codebook\..*",)
DECODER = (r"(prenet|decoder)\..*", r"quantizer\.out_project\..*",
           r"speaker_encoder\.(project|quantizer\.project_out)\..*")
LEFT_OUT = (r"postnet\..*", r"quantizer\.cluster_size", r"speaker_encoder\.speaker_encoder\.(pool|bn|linear)\..*",
            r".*\.num_batches_tracked", r"mel_transformer\..*")


class DecoderFrontEnd(nn.Cell):
    """Codes of speech and voice -> the wave generator's input: prenet output plus d-vector."""

    def __init__(self, quantizer: SemanticQuantizer, speaker: SpeakerDecoder, prenet: Prenet):
        super().__init__()
        self.quantizer, self.speaker, self.prenet = quantizer, speaker, prenet

    def construct(self, semantic_codes: Tensor, speaker_codes: Tensor, keep: Tensor | None) -> Tensor:
        # semantic_codes [T, 8], speaker_codes [32, 6], keep [T, 1] or None -> [T, D]
        d_vector = self.speaker(speaker_codes)
        return self.prenet(self.quantizer(semantic_codes), d_vector, keep) + d_vector


class BiCodec:
    """The codec's four paths; arrays in and out, lengths free. Each is loaded when it is first needed."""

    def __init__(self, path: Path, config: BiCodecConfig, runtime: Runtime):
        self.path, self.config, self.runtime = path, config, runtime
        self.levels = FiniteScalarQuantizer(config.speaker_encoder.fsq_levels)
        self.context = context_frames(config.decoder)                       # of the wave generator, each side
        self.field = self.context + prenet_context(config.prenet)           # of the whole decoder
        self._codebook: Codebook | None = None
        self._semantic_encoder: Callable | None = None
        self._speaker_encoder: Callable | None = None
        self._decoder: tuple[Callable, Callable] | None = None

    @property
    def codebook(self) -> Codebook:
        if self._codebook is None:
            self._codebook = Codebook(Checkpoint(self.path).at("quantizer.codebook"), self.config.quantizer)
        return self._codebook

    def load_decoder(self) -> tuple[Callable, Callable]:
        """Prenet and wave generator, made when they are first needed."""
        if self._decoder is None:
            weights, config = Checkpoint(self.path), self.config
            colouring = DecoderFrontEnd(SemanticQuantizer(weights.at("quantizer"), config.quantizer),
                                  SpeakerDecoder(weights.at("speaker_encoder"), config.speaker_encoder),
                                  Prenet(weights.at("prenet"), config.prenet))
            generator = WaveGenerator(weights.at("decoder"), config.decoder)
            weights.finish((*LEFT_OUT, *CODEBOOK, *SEMANTIC_ENCODER, *SPEAKER_ENCODER))

            def condition_frames(semantic_codes, speaker_codes, keep):
                return colouring(semantic_codes, speaker_codes, keep)

            def generate(frames, keep):
                return generator(frames, keep)

            self._decoder = (self.runtime.compile_padded(condition_frames, "prenet"),
                             self.runtime.compile_padded(generate, "wave generator"))
        return self._decoder

    def semantic_ids(self, features: np.ndarray) -> np.ndarray:
        """wav2vec 2.0 features [T, F] of a recording -> its semantic ids [T]."""
        if self._semantic_encoder is None:
            weights = Checkpoint(self.path)
            encoder = SemanticEncoder(weights.at("encoder"), weights.at("quantizer.in_project"), self.config.encoder,
                                      self.config.quantizer)
            weights.finish((*LEFT_OUT, *CODEBOOK, *SPEAKER_ENCODER, *DECODER))

            def encode(features, keep):
                return encoder(features, keep)

            self._semantic_encoder = self.runtime.compile_padded(encode, "semantic encoder")
        frames, bucket = len(features), self.runtime.padded_length(len(features), PROMPT_FRAME_BUCKETS)
        vectors = self._semantic_encoder(Tensor(pad_rows(features, bucket)), self._keep(frames, bucket))
        return self.codebook.nearest(vectors.asnumpy()[:frames])

    def global_ids(self, mel: np.ndarray) -> np.ndarray:
        """Mel spectrogram [M, T] of the reference clip -> the voice's ids [32]."""
        if self._speaker_encoder is None:
            weights = Checkpoint(self.path)
            encoder = SpeakerEncoder(weights.at("speaker_encoder"), self.config.speaker_encoder)
            weights.finish((*LEFT_OUT, *CODEBOOK, *SEMANTIC_ENCODER, *DECODER))

            def listen(mel):
                return encoder(mel)

            self._speaker_encoder = self.runtime.compile_padded(listen, "speaker encoder")
        return self.levels.ids(self._speaker_encoder(Tensor(mel)).asnumpy())

    def release_encoders(self) -> None:
        """Forget what encodes recordings; it is loaded again when it is needed."""
        self._semantic_encoder = self._speaker_encoder = None

    def decode(self, global_ids: np.ndarray, semantic_ids: np.ndarray) -> np.ndarray:
        """A voice [32] and at least one semantic id [T] -> samples [320 T], float32 in (-1, 1)."""
        return self.generate(self.condition_frames(global_ids, semantic_ids))

    def decode_frames(self, global_ids: np.ndarray, semantic_ids: np.ndarray, first: int, last: int) -> np.ndarray:
        """Samples of the frames first .. last - 1 of an utterance that begins with `semantic_ids` [T]; the same as if all of
        it were decoded if `field` more ids are known behind `last`, or it ends with them."""
        known, start = len(semantic_ids), max(0, first - self.field)
        conditioned = self.condition_frames(global_ids, semantic_ids[start:min(known, last + self.field)])
        begin, end = max(0, first - self.context), min(known, last + self.context)
        samples, step = self.generate(conditioned[begin - start:end - start]), self.config.decoder.samples_per_token
        return samples[(first - begin) * step:(last - begin) * step]

    def condition_frames(self, global_ids: np.ndarray, semantic_ids: np.ndarray) -> np.ndarray:
        """The wave generator's input [T, D]."""
        frames, bucket = len(semantic_ids), self.runtime.padded_length(len(semantic_ids), SPEECH_FRAMES)
        codes = pad_rows(self.codebook.codes(semantic_ids), bucket)
        conditioned = self.load_decoder()[0](Tensor(codes), Tensor(self.levels.codes(global_ids)), self._keep(frames, bucket))
        return conditioned.asnumpy()[:frames]

    def generate(self, conditioned: np.ndarray) -> np.ndarray:
        """Coloured frames [T, D] -> samples [320 T]."""
        return np.concatenate(list(self.vocode_windows(conditioned)))

    def vocode_windows(self, conditioned: np.ndarray, sizes: tuple[int, ...] = WINDOWS) -> Iterator[np.ndarray]:
        """The same in pieces, each the work of one window."""
        step = self.config.decoder.samples_per_token
        for window in plan(len(conditioned), self.context, sizes):
            frames = conditioned[window.start:window.start + window.size]
            size = self.runtime.padded_length(len(frames), (window.size,))
            samples = self.load_decoder()[1](Tensor(pad_rows(frames, size)), self._keep(len(frames), size))
            yield samples.asnumpy()[(window.first - window.start) * step:(window.last - window.start) * step]

    def _keep(self, real: int, length: int) -> Tensor | None:
        return None if self.runtime.any_length else Tensor(row_mask(real, length))
