"""BiCodec: a voice and its speech as tokens, and back to a waveform.

Source: arXiv 2503.01710, upstream `models/bicodec.py`.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from mindspore import Tensor, nn

from sparktts_ms.bicodec import prenet, wave_generator
from sparktts_ms.bicodec.chunking import WINDOW_SIZES, CompiledLengths, cover, plan_windows
from sparktts_ms.bicodec.prenet import Prenet
from sparktts_ms.bicodec.semantic import Codebook, SemanticEncoder, pointwise_conv
from sparktts_ms.bicodec.speaker import FiniteScalarQuantizer, SpeakerDecoder, SpeakerEncoder
from sparktts_ms.bicodec.wave_generator import WaveGenerator
from sparktts_ms.config import BiCodecConfig
from sparktts_ms.ops.padding import PROMPT_FRAME_BUCKETS, pad_rows, padding_mask
from sparktts_ms.runtime import PaddedNetwork, Runtime
from sparktts_ms.weights.checkpoint import Checkpoint, Layout

T = TypeVar("T")

SPEECH_FRAME_BUCKETS = (64, 256, 1024, 3072)    # 1.3 s to 60 s, the default of max_new_tokens

LAYOUT = Layout("", "quantizer.codebook.weight")

# Patterns of the tensor names of each part of the checkpoint. Unused in inference: the feature
# decoder of training, the x-vector head, running counts.
PARTS = {
    "semantic_encoder": (r"encoder\..*", r"quantizer\.in_project\..*"),
    "speaker_encoder": (
        r"speaker_encoder\.(speaker_encoder|perceiver_sampler|quantizer\.project_in)\..*",),
    "codebook": (r"quantizer\.codebook\..*",),
    "front_end": (r"prenet\..*", r"quantizer\.out_project\..*",
                  r"speaker_encoder\.(project|quantizer\.project_out)\..*"),
    "generator": (r"decoder\..*",),
    "unused": (r"postnet\..*", r"quantizer\.cluster_size", r".*\.num_batches_tracked",
               r"speaker_encoder\.speaker_encoder\.(pool|bn|linear)\..*", r"mel_transformer\..*"),
}


class DecoderFrontEnd(nn.Cell):
    """Codes of speech and voice -> the wave generator's input: prenet output plus d-vector."""

    def __init__(self, weights: Checkpoint, config: BiCodecConfig):
        super().__init__()
        self.code_proj = pointwise_conv(weights.at("quantizer.out_project"),
                                        config.quantizer.codebook_dim, config.quantizer.input_dim)
        self.speaker = SpeakerDecoder(weights.at("speaker_encoder"), config.speaker_encoder)
        self.prenet = Prenet(weights.at("prenet"), config.prenet)

    def construct(self, semantic_codes: Tensor, speaker_codes: Tensor,
                  mask: Tensor | None) -> Tensor:
        # semantic_codes [T, 8], speaker_codes [32, 6], mask [T, 1] or None -> [T, D]
        d_vector = self.speaker(speaker_codes)
        return self.prenet(self.code_proj(semantic_codes), d_vector, mask) + d_vector


class BiCodec:
    """The codec on arrays of any length. Each part is loaded when it is first needed.

    Frames on each side that can change a frame's samples: `context_frames` of the wave generator's
    input, `receptive_field` of the decoder's.
    """

    def __init__(self, path: Path, config: BiCodecConfig, runtime: Runtime):
        self.path = path
        self.config = config
        self.runtime = runtime
        self.speaker_quantizer = FiniteScalarQuantizer(config.speaker_encoder.fsq_levels)
        self.context_frames = wave_generator.receptive_field(config.decoder)
        self.receptive_field = self.context_frames + prenet.receptive_field(config.prenet)
        self._compiled = CompiledLengths()

    @cached_property
    def codebook(self) -> Codebook:
        weights = Checkpoint(self.path, LAYOUT).at("quantizer.codebook")
        return Codebook(weights, self.config.quantizer)

    @cached_property
    def semantic_encoder(self) -> Callable:
        def construct(weights: Checkpoint) -> SemanticEncoder:
            encoder = SemanticEncoder(weights.at("encoder"), weights.at("quantizer.in_project"),
                                      self.config.encoder, self.config.quantizer)
            finish(weights, "semantic_encoder")
            return encoder

        encoder = self._construct(construct, "semantic encoder")
        return self.runtime.compile_padded(encoder, "semantic encoder")

    @cached_property
    def speaker_encoder(self) -> Callable:
        def construct(weights: Checkpoint) -> SpeakerEncoder:
            encoder = SpeakerEncoder(weights.at("speaker_encoder"), self.config.speaker_encoder)
            finish(weights, "speaker_encoder")
            return encoder

        encoder = self._construct(construct, "speaker encoder")
        return self.runtime.compile_padded(encoder, "speaker encoder")

    @cached_property
    def front_end(self) -> PaddedNetwork:
        def construct(weights: Checkpoint) -> DecoderFrontEnd:
            front_end = DecoderFrontEnd(weights, self.config)
            finish(weights, "front_end")
            return front_end

        front_end = self._construct(construct, "front end")
        return self.runtime.compile_padded(front_end, "prenet")

    @cached_property
    def generator(self) -> PaddedNetwork:
        def construct(weights: Checkpoint) -> WaveGenerator:
            generator = WaveGenerator(weights.at("decoder"), self.config.decoder,
                                      self.runtime.vocoder_tiles)
            finish(weights, "generator")
            return generator

        generator = self._construct(construct, "wave generator", self.runtime.vocoder_tiles)
        return self.runtime.compile_padded(generator, "wave generator")

    def load_decoder(self) -> None:
        """Load now what is loaded on first use otherwise: front end and wave generator."""
        _ = self.front_end, self.generator

    def encode_semantic(self, features: np.ndarray) -> np.ndarray:
        """wav2vec 2.0 features [T, F] of a recording -> its semantic ids [T]."""
        frames = len(features)
        length = self.runtime.padded_length(frames, PROMPT_FRAME_BUCKETS)
        padded = Tensor(pad_rows(features, length))
        vectors = self.semantic_encoder(padded, self._mask(frames, length))
        return self.codebook.quantize(vectors.asnumpy()[:frames])

    def encode_speaker(self, mel: np.ndarray) -> np.ndarray:
        """Mel spectrogram [M, T] of the reference clip -> the voice's global ids [32]."""
        return self.speaker_quantizer.quantize(self.speaker_encoder(Tensor(mel)).asnumpy())

    def release_encoders(self) -> None:
        """Free the encoders; they are loaded again when a recording is encoded."""
        self.__dict__.pop("semantic_encoder", None)
        self.__dict__.pop("speaker_encoder", None)

    def decode(self, global_ids: np.ndarray, semantic_ids: np.ndarray) -> np.ndarray:
        """A voice [32] and semantic ids [T], T > 0 -> samples [320 T], float32 in (-1, 1)."""
        return self.vocode(self.condition_frames(global_ids, semantic_ids))

    def compile(self, lengths: CompiledLengths) -> Iterator[str]:
        """Compile the decoder for inputs of these lengths, a graph a step; `decode_frames` prefers
        them afterwards. Where inputs are padded: for the shortest."""
        voice = np.zeros(self.config.speaker_encoder.token_num, np.int32)
        if not self.runtime.variable_length:
            self.decode(voice, np.zeros(1, np.int32))
            yield "decoder"
            return
        for length in lengths.front_end:
            codes = Tensor(self.codebook.dequantize(np.zeros(length, np.int32)))
            speaker_codes = Tensor(self.speaker_quantizer.dequantize(voice))
            self.front_end.compile(codes, speaker_codes, Tensor(padding_mask(length, length)))
            yield f"prenet {length}"
        for length in lengths.generator:
            hidden = np.zeros((length, self.config.decoder.input_channel), np.float32)
            self.generator.compile(Tensor(hidden), None)
            yield f"wave generator {length}"
        self._compiled = lengths

    def decode_frames(self, global_ids: np.ndarray, semantic_ids: np.ndarray, first: int,
                      last: int, lookahead: int | None = None) -> np.ndarray:
        """Samples of the frames first .. last - 1 of an utterance that begins with `semantic_ids`
        [T]. They equal those of the complete utterance if it ends there, or if at least
        `receptive_field` more ids follow frame last - 1, and are taken into account.

        lookahead: how many of them are, at least; None: as many as there are.
        """
        known = len(semantic_ids)
        start = max(0, first - self.receptive_field)
        end = min(known, last + (self.receptive_field if lookahead is None else lookahead))
        hidden = self.condition_frames(global_ids, semantic_ids[start:end])
        rate = self.config.decoder.samples_per_token
        pieces = []
        context = self.context_frames
        context_start = max(0, first - context) - start
        context_end = min(end, last + context) - start
        for window in cover(context_start, context_end, len(hidden), context,
                            self._compiled.generator):
            frames = hidden[window.start:window.start + window.size]
            length = self.runtime.padded_length(len(frames), WINDOW_SIZES)
            samples = self.generator(Tensor(pad_rows(frames, length)),
                                     self._mask(len(frames), length))
            valid = slice((window.valid_start - window.start) * rate,
                          (window.valid_end - window.start) * rate)
            pieces.append(samples.asnumpy()[valid])
        begin = (first - start - context_start) * rate
        return np.concatenate(pieces)[begin:begin + (last - first) * rate]

    def condition_frames(self, global_ids: np.ndarray, semantic_ids: np.ndarray) -> np.ndarray:
        """A voice [32] and semantic ids [T] -> the wave generator's input [T, D]."""
        frames = len(semantic_ids)
        length = self.runtime.padded_length(frames, SPEECH_FRAME_BUCKETS)
        mask = self._mask(frames, length)
        if compiled := [size for size in self._compiled.front_end if size >= frames][:1]:
            length = compiled[0]
            mask = Tensor(padding_mask(frames, length))
        codes = Tensor(pad_rows(self.codebook.dequantize(semantic_ids), length))
        speaker_codes = Tensor(self.speaker_quantizer.dequantize(global_ids))
        return self.front_end(codes, speaker_codes, mask).asnumpy()[:frames]

    def vocode(self, hidden: np.ndarray) -> np.ndarray:
        """The wave generator's input [T, D] -> samples [320 T]."""
        return np.concatenate(list(self.vocode_windows(hidden)))

    def vocode_windows(self, hidden: np.ndarray,
                       sizes: tuple[int, ...] = WINDOW_SIZES) -> Iterator[np.ndarray]:
        """Like `vocode`, but yields the samples of one window after another."""
        self._release_front_end()               # which has done its work
        rate = self.config.decoder.samples_per_token
        for window in plan_windows(len(hidden), self.context_frames, sizes):
            frames = hidden[window.start:window.start + window.size]
            length = self.runtime.padded_length(len(frames), (window.size,))
            samples = self.generator(Tensor(pad_rows(frames, length)),
                                     self._mask(len(frames), length))
            valid = slice((window.valid_start - window.start) * rate,
                          (window.valid_end - window.start) * rate)
            yield samples.asnumpy()[valid]

    def _construct(self, network: Callable[[Checkpoint], T], part: str, *settings: object) -> T:
        weights = Checkpoint(self.path, LAYOUT)
        return self.runtime.construct(network, weights, part, self.config, *settings, mapped=True)

    def _release_front_end(self) -> None:
        """With `low_memory`: its pages, or where they are not those of a file, itself."""
        self.runtime.release_mapped()
        is_peak = "generator" not in self.__dict__      # packing it takes most memory
        if is_peak and self.runtime.low_memory and self.runtime.weight_cache is None:
            self.__dict__.pop("front_end", None)
            self.runtime.release_memory()

    def _mask(self, valid: int, length: int) -> Tensor | None:
        return None if self.runtime.variable_length else Tensor(padding_mask(valid, length))


def finish(weights: Checkpoint, part: str) -> None:
    """Check that all tensors of a part have been taken. Raises WeightsError for unknown tensors."""
    others: list[str] = []
    for name, patterns in PARTS.items():
        if name != part:
            others += patterns
    weights.finish(others)
