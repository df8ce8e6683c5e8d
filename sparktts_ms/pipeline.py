"""Spark-TTS from text to waveform: each step is one call into one room.

    text -> parts; part, voice -> prompt ids -> language model -> semantic ids -> codec -> waveform
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sparktts_ms.audio.loudness import normalize_volume, reference_clip
from sparktts_ms.audio.mel import MelSpectrogram
from sparktts_ms.audio.recording import read_recording
from sparktts_ms.bicodec.codec import BiCodec
from sparktts_ms.config import ModelConfig
from sparktts_ms.config_files import read_config
from sparktts_ms.errors import AudioError, InputError, ModelError, SparkTTSError, VoiceError
from sparktts_ms.generation.grammar import clone_grammar, style_grammar, unconstrained_grammar
from sparktts_ms.generation.long_form import LongFormRequest
from sparktts_ms.generation.prompt import Style, clone_prompt, style_prompt
from sparktts_ms.generation.request import Chunks, SpeechRequest, as_request, check_text
from sparktts_ms.generation.utterance import Utterance
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.qwen2.engine import Engine, GrammarState
from sparktts_ms.qwen2.language_model import LanguageModel, LMHead
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.runtime import Runtime
from sparktts_ms.text.normalize import normalize
from sparktts_ms.text.split import Segment, split_text
from sparktts_ms.voice import Speech, Voice
from sparktts_ms.wav2vec2.features import FeatureExtractor
from sparktts_ms.weights.checkpoint import find_weights

logger = logging.getLogger("sparktts_ms")

MAX_PROMPT_SECONDS = 30.0       # attention over a prompt grows with its square
KEPT_VOICES = 64                # recordings whose encoding is remembered


class SparkTTS:
    """A loaded model. Not for several threads at once: `Service` is."""

    def __init__(self, model_dir: Path, config: ModelConfig, runtime: Runtime):
        self.config, self.runtime = config, runtime
        self.sample_rate = config.audio.sample_rate
        self.vocabulary = Vocabulary(model_dir / "LLM" / "tokenizer.json", config.llm.eos_token_id,
                                     config.llm.vocab_size)
        self._check_vocabulary(model_dir)
        self._wav2vec2_file = find_weights(model_dir / "wav2vec2-large-xlsr-53")
        self._features: FeatureExtractor | None = None
        self._heads: dict[bool, LMHead] = {}
        self._voices: OrderedDict[tuple[bytes, str | None], Voice] = OrderedDict()
        self.mel = MelSpectrogram(**vars(config.bicodec.mel))
        self.codec = BiCodec(find_weights(model_dir / "BiCodec"), config.bicodec, runtime)
        self._llm_file = find_weights(model_dir / "LLM")

    @classmethod
    def from_pretrained(cls, model_dir: str | Path, device_target: str = "auto", device_id: int = 0,
                        mode: str = "graph", dtype: str | None = None, quantize: str = "none") -> SparkTTS:
        """Load a model directory in the released layout (SparkAudio/Spark-TTS-0.5B).

        device_target: "auto" (Ascend where there is one), "Ascend" or "CPU". mode: "graph" or "pynative". dtype: of the
        language model, "float32" or "bfloat16"; None is bfloat16 on Ascend and float32 on CPU. quantize: "int8" stores the
        language model's matrices in 8 bits (CPU), which speaks three times as fast from a quarter of the memory. Networks
        are loaded when they are first needed (see `load`).
        Raises ModelError for a directory that is missing, incomplete or damaged, DeviceError for the device.
        """
        folder = Path(model_dir)
        if not folder.is_dir():
            raise ModelError(f"The model directory {folder} does not exist. `python -m cli.download` fetches it; "
                             "--model_dir says where it is, and pretrained_models/Spark-TTS-demo is a small one to try.")
        config = read_config(folder)
        return cls(folder, config, Runtime.start(device_target, device_id, mode, dtype, quantize))

    def encode_voice(self, path: str | Path, transcript: str | None = None) -> Voice:
        """Turn a recording into a Voice: its first 6 s (repeated if shorter) define the speaker.

        With a `transcript` of the whole recording, how it was spoken is kept too (needs wav2vec 2.0, loaded on first
        use) and speech continues it; such a recording may last at most 30 s. What was encoded before is remembered by its
        content. Raises AudioError.
        """
        recording = read_recording(path, self.sample_rate, MAX_PROMPT_SECONDS)
        transcript = (transcript or "").strip() or None
        if recording.truncated and transcript:
            raise AudioError(f"{path} lasts {recording.source_seconds:.1f} s; with a transcript at most "
                             f"{MAX_PROMPT_SECONDS:.0f} s can be used. Cut both, or leave out the transcript.")
        if recording.truncated:
            logger.warning("%s lasts %.1f s; only its first %.0f s are used, and the voice comes from the first %.0f s.",
                           path, recording.source_seconds, MAX_PROMPT_SECONDS, self.config.audio.ref_segment_duration)
        key = hashlib.sha256(recording.samples.tobytes()).digest(), transcript
        if key not in self._voices:
            self._voices[key] = self._encode(recording.samples, transcript)
        self._voices.move_to_end(key)
        if len(self._voices) > KEPT_VOICES:
            self._voices.popitem(last=False)
        return self._voices[key]

    def _encode(self, samples: np.ndarray, transcript: str | None) -> Voice:
        if self.config.audio.volume_normalize:
            samples = normalize_volume(samples)
        clip = reference_clip(samples, self.config.audio.reference_samples).astype(np.float32)
        global_ids = self.codec.encode_speaker(self.mel(clip))
        if transcript is None:
            return Voice(global_ids)
        return Voice(global_ids, self.codec.encode_semantic(self.features(samples)), transcript)

    def synthesize(
        self,
        text: str | SpeechRequest,
        voice: Voice | None = None,
        *,
        progress: Callable[[float], None] | None = None,
        **options: Any,
    ) -> Speech:
        """Speak a text in a recorded `voice`, or in one made from gender, pitch and speed.

        text: a SpeechRequest, or its text; `options` are then the other fields of SpeechRequest
        (gender, pitch, speed, sampling, normalize, split).
        progress: called with the seconds of speech generated so far.
        Raises InputError for a request that makes no sense, VoiceError for another model's voice,
        NoSpeech if the model produces nothing audible.
        """
        generation = self.start(as_request(text, voice, options))
        with _cancelled_at_exit(generation):
            while not generation.proceed():
                self.engine.step()
                if progress is not None:
                    progress(generation.seconds)
        return generation.speech()

    def stream(
        self,
        text: str | SpeechRequest,
        voice: Voice | None = None,
        *,
        chunks: Chunks = Chunks(),
        **options: Any,
    ) -> Iterator[np.ndarray]:
        """Like `synthesize`, but yields samples, float32 in (-1, 1), while speech is generated.

        Chunks follow each other without a gap or cross-fade. Leaving the iterator early cancels
        the request. With a look-ahead of the decoder's receptive field (67 frames at the released
        size, 1.3 s) the chunks together equal what `synthesize` returns; the default differs by
        less than -50 dB of the signal.
        """
        return self._chunks(self.start(as_request(text, voice, options)), chunks)

    def start(self, request: SpeechRequest) -> LongFormRequest:
        """Start a request: it is generated as the engine steps, batched with all others."""
        text = request.text
        if request.normalize:
            text = check_text(normalize(text))
        segments = split_text(text) if request.split else [Segment(text, 0.0)]

        def begin(segment: str, sampling: Sampling, first: Utterance | None) -> Utterance:
            return self._begin(segment, request, sampling, first)

        return LongFormRequest(segments, request.sampling, self.engine, self.sample_rate, begin)

    def _begin(self, text: str, request: SpeechRequest, sampling: Sampling,
               first: Utterance | None) -> Utterance:
        voice = request.voice
        prompt, grammar = self.prompt_for(text, voice, request.style, first.opening if first is not None else ())
        head = self._head(sampling.constrained)
        if not sampling.constrained:
            grammar = unconstrained_grammar(head.ids, self.vocabulary)
        made = first.generated_voice if first is not None and voice is None else voice
        return Utterance(self.engine.add(prompt, grammar, sampling, head), made, self.vocabulary, self.codec, self.sample_rate)

    def _chunks(self, reading: LongFormRequest, chunks: Chunks) -> Iterator[np.ndarray]:
        with _cancelled_at_exit(reading):
            while True:
                finished = reading.proceed()
                samples = reading.chunk(chunks)
                if samples is not None:
                    yield samples
                elif finished:
                    return
                else:
                    self.engine.step()

    def prompt_for(self, text: str, voice: Voice | None, style: Style | None = None,
                   opening: Sequence[int] = ()) -> tuple[np.ndarray, list[GrammarState]]:
        """Prompt ids [N], and what may follow them. `opening`: what an utterance before began with, whose made-up voice is to
        speak."""
        v = self.vocabulary
        if voice is not None:
            self._check_ids("the voice's ", VoiceError, voice.global_ids, voice.semantic_ids, speech=False)
            return (clone_prompt(v, text, voice.global_ids, voice.transcript, voice.semantic_ids, style),
                    clone_grammar(v, continues=voice.transcript is not None))
        assert style is not None
        prompt = style_prompt(v, text, style, opening)
        if opening:
            return prompt, clone_grammar(v, continues=False)
        return prompt, style_grammar(v, self.config.bicodec.speaker_encoder.token_num, style)

    def decode(self, *, global_ids: np.ndarray, semantic_ids: np.ndarray) -> np.ndarray:
        """32 global ids and T semantic ids -> samples [320 T], float32 in (-1, 1). Raises InputError for ids that the
        codec does not have."""
        self._check_ids("", InputError, global_ids, semantic_ids)
        return self.codec.decode(np.asarray(global_ids), np.asarray(semantic_ids))

    def _check_ids(self, whose: str, error: type[SparkTTSError], global_ids, semantic_ids, speech: bool = True) -> None:
        """Whether the codec has these ids; without `speech` there need be no semantic ones."""
        config = self.config.bicodec
        for name, ids, count, length in (
                ("global_ids", global_ids, config.speaker_encoder.codebook_size, config.speaker_encoder.token_num),
                ("semantic_ids", semantic_ids, config.quantizer.codebook_size, None)):
            ids = np.asarray(ids)
            if not ids.size and not speech and length is None:
                continue
            if ids.ndim != 1 or ids.dtype.kind not in "iu" or not ids.size or length not in (None, ids.size):
                raise error(f"{whose}{name} must be {length or 'at least one'} whole numbers; got shape {ids.shape}.")
            if ids.min() < 0 or ids.max() >= count:
                raise error(f"{whose}{name} must lie in 0..{count - 1}; got {ids.min()}..{ids.max()}."
                            + (" It was made with another model." if whose else ""))

    def features(self, samples: np.ndarray) -> np.ndarray:
        """wav2vec 2.0 features [T, C] of samples [N]; loads the network on first use."""
        if self._features is None:
            self._features = FeatureExtractor(self._wav2vec2_file, self.config.wav2vec2, self.runtime)
        return self._features(samples)

    def release_prompt_encoder(self) -> None:
        """Forget what only recordings need, wav2vec 2.0 (0.9 GB) above all; it is loaded again when one is encoded."""
        self._features = None
        self.codec.release_encoders()
        self.runtime.release_memory()

    @cached_property
    def llm(self) -> LanguageModel:
        """The language model, loaded when it is first needed: after a prompt's encoder has been released, if there is one."""
        return LanguageModel(self._llm_file, self.config.llm, self.runtime)

    @cached_property
    def engine(self) -> Engine:
        """Continuous batching over the language model."""
        return Engine(self.llm)

    def load(self) -> SparkTTS:
        """Load now what is needed to speak; otherwise it is loaded when something is first said. Returns itself."""
        self.codec.load_decoder()
        self._head(constrained=True)
        return self

    def _head(self, constrained: bool) -> LMHead:
        if constrained not in self._heads:
            ids = self.vocabulary.speakable() if constrained else np.arange(self.config.llm.vocab_size)
            self._heads[constrained] = self.llm.head(ids)
        return self._heads[constrained]

    def _check_vocabulary(self, model_dir: Path) -> None:
        codec, v = self.config.bicodec, self.vocabulary
        for family, needed in ((v.bicodec_semantic, codec.quantizer.codebook_size),
                               (v.bicodec_global, codec.speaker_encoder.codebook_size)):
            if family.count != needed:
                raise ModelError(f"{model_dir}: the tokenizer has {family.count} ids where the codec has {needed}; "
                                 "LLM and BiCodec do not belong together.")


@contextmanager
def _cancelled_at_exit(generation: LongFormRequest) -> Iterator[None]:
    """Whatever ends the iteration cancels the request."""
    try:
        yield
    finally:
        generation.cancel()
