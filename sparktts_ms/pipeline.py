"""Spark-TTS from text to waveform: each step is one call into one room.

    text, voice -> prompt ids -> language model -> semantic ids -> codec -> waveform
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sparktts_ms.audio.files import read_prompt
from sparktts_ms.audio.loudness import normalize_volume, reference_clip
from sparktts_ms.audio.mel import MelSpectrogram
from sparktts_ms.bicodec.codec import BiCodec
from sparktts_ms.config import ModelConfig
from sparktts_ms.config_files import read_config
from sparktts_ms.errors import AudioError, InputError, ModelError, NoSpeech
from sparktts_ms.phases import clone_phases, free_phases, style_phases
from sparktts_ms.prompt import Style, check_text, clone_prompt, style_prompt
from sparktts_ms.qwen2.engine import Engine, Phase, generate
from sparktts_ms.qwen2.language_model import Head, LanguageModel
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.runtime import Runtime
from sparktts_ms.vocabulary import Vocabulary
from sparktts_ms.voice import Speech, Voice
from sparktts_ms.wav2vec2.features import FeatureExtractor
from sparktts_ms.weights.open import find_weights

logger = logging.getLogger("sparktts_ms")

MAX_PROMPT_SECONDS = 30.0       # attention over a prompt grows with its square
TOKENS_PER_SECOND = 50


class SparkTTS:
    """A loaded model. One utterance at a time; not for several threads at once."""

    def __init__(self, model_dir: Path, config: ModelConfig, runtime: Runtime):
        self.config, self.runtime = config, runtime
        self.sample_rate = config.audio.sample_rate
        self.vocabulary = Vocabulary(model_dir / "LLM" / "tokenizer.json", config.llm.eos_token_id,
                                     config.llm.vocab_size)
        self._check_vocabulary(model_dir)
        self._wav2vec2_file = find_weights(model_dir / "wav2vec2-large-xlsr-53")
        self._features: FeatureExtractor | None = None
        self._heads: dict[bool, Head] = {}
        self.mel = MelSpectrogram(**vars(config.bicodec.mel))
        self.codec = BiCodec(find_weights(model_dir / "BiCodec"), config.bicodec, runtime)
        self.llm = LanguageModel(find_weights(model_dir / "LLM"), config.llm, runtime)
        self.engine = Engine(self.llm)

    @classmethod
    def from_pretrained(cls, model_dir: str | Path, device_target: str = "auto", device_id: int = 0,
                        mode: str = "graph", dtype: str | None = None, weights: str = "float") -> SparkTTS:
        """Load a model directory in the released layout (SparkAudio/Spark-TTS-0.5B).

        device_target: "auto" (Ascend where there is one), "Ascend" or "CPU". mode: "graph" or "pynative". dtype: of the
        language model, "float32" or "bfloat16"; None is bfloat16 on Ascend and float32 on CPU. weights: "int8" stores the
        language model's matrices in 8 bits (CPU), which speaks three times as fast from a quarter of the memory.
        Raises ModelError for a directory that is missing, incomplete or damaged, DeviceError for the device.
        """
        folder = Path(model_dir)
        if not folder.is_dir():
            raise ModelError(f"The model directory {folder} does not exist. `python -m cli.download` fetches it; "
                             "--model_dir says where it is.")
        config = read_config(folder)
        return cls(folder, config, Runtime.start(device_target, device_id, mode, dtype, weights))

    def encode_voice(self, path: str | Path, transcript: str | None = None) -> Voice:
        """Turn a recording into a Voice: its first 6 s (repeated if shorter) define the speaker.

        With a `transcript` of the whole recording, how it was spoken is kept too (needs wav2vec 2.0, loaded on first
        use) and speech continues it; such a recording may last at most 30 s. Raises AudioError.
        """
        recording = read_prompt(path, self.sample_rate, MAX_PROMPT_SECONDS)
        transcript = (transcript or "").strip() or None
        if recording.truncated and transcript:
            raise AudioError(f"{path} lasts {recording.source_seconds:.1f} s; with a transcript at most "
                             f"{MAX_PROMPT_SECONDS:.0f} s can be used. Cut both, or leave out the transcript.")
        if recording.truncated:
            logger.warning("%s lasts %.1f s; only its first %.0f s are used, and the voice comes from the first %.0f s.",
                           path, recording.source_seconds, MAX_PROMPT_SECONDS, self.config.audio.ref_segment_duration)
        samples = recording.samples
        if self.config.audio.volume_normalize:
            samples = normalize_volume(samples)
        clip = reference_clip(samples, self.config.audio.reference_samples).astype(np.float32)
        global_ids = self.codec.global_ids(self.mel(clip))
        if transcript is None:
            return Voice(global_ids)
        return Voice(global_ids, self.codec.semantic_ids(self.features(samples)), transcript)

    def synthesize(self, text: str, voice: Voice | None = None, gender: str | None = None, pitch: str | None = None,
                   speed: str | None = None, sampling: Sampling = Sampling(),
                   progress: Callable[[float], None] | None = None) -> Speech:
        """Say `text` in a recorded `voice`, or in one made from gender ("female", "male"), pitch and speed ("very_low",
        "low", "moderate", "high", "very_high"; "moderate" if not given).

        `progress` is called with the seconds of speech so far. The model can hold about 4,000 tokens, text and prompt
        included. Raises InputError for a request that makes no sense, NoSpeech if the model says nothing.
        """
        prompt, phases = self.prompt_for(check_text(text), choose_speaker(voice, gender, pitch, speed))
        v = self.vocabulary
        head = self._head(sampling.constrained)
        if not sampling.constrained:
            phases = free_phases(head.ids, v)

        ids, spoken = [], 0
        for token in generate(self.engine, self.engine.add(prompt, phases, sampling, head)):
            ids.append(token)
            if progress is not None and token in v.bicodec_semantic:
                spoken += 1
                progress(spoken / TOKENS_PER_SECOND)
        semantic_ids = v.bicodec_semantic.values(ids)
        global_ids = voice.global_ids if voice is not None else v.bicodec_global.values(ids)
        self._check_speech(semantic_ids, global_ids)
        samples = self.decode(global_ids=global_ids, semantic_ids=semantic_ids)
        complete = ids[-1] in (v.end, v.end_semantic_token)
        return Speech(samples, self.sample_rate, semantic_ids, global_ids, np.array(ids, np.int32), complete)

    def prompt_for(self, text: str, who: Voice | Style) -> tuple[np.ndarray, list[Phase]]:
        """Prompt ids [N], and what may follow them."""
        v = self.vocabulary
        if isinstance(who, Style):
            return style_prompt(v, text, who), style_phases(v, self.config.bicodec.speaker_encoder.token_num)
        return (clone_prompt(v, text, who.global_ids, who.transcript, who.semantic_ids),
                clone_phases(v, continues=who.transcript is not None))

    def decode(self, *, global_ids: np.ndarray, semantic_ids: np.ndarray) -> np.ndarray:
        """32 global ids and T semantic ids -> samples [320 T], float32 in (-1, 1). Raises InputError for ids that the
        codec does not have."""
        config = self.config.bicodec
        for name, ids, count, length in (
                ("global_ids", global_ids, config.speaker_encoder.codebook_size, config.speaker_encoder.token_num),
                ("semantic_ids", semantic_ids, config.quantizer.codebook_size, None)):
            ids = np.asarray(ids)
            if ids.ndim != 1 or ids.dtype.kind not in "iu" or not ids.size or length not in (None, ids.size):
                raise InputError(f"{name} must be {length or 'at least one'} whole numbers; got shape {ids.shape}.")
            if ids.min() < 0 or ids.max() >= count:
                raise InputError(f"{name} must lie in 0..{count - 1}; got {ids.min()}..{ids.max()}.")
        return self.codec.decode(np.asarray(global_ids), np.asarray(semantic_ids))

    def features(self, samples: np.ndarray) -> np.ndarray:
        """wav2vec 2.0 features [T, C] of samples [N]; loads the network on first use."""
        if self._features is None:
            self._features = FeatureExtractor(self._wav2vec2_file, self.config.wav2vec2, self.runtime)
        return self._features(samples)

    def release_prompt_encoder(self) -> None:
        """Forget what only recordings need, wav2vec 2.0 (0.9 GB) above all; it is loaded again when one is encoded."""
        self._features = None
        self.codec.release_encoders()

    def _head(self, constrained: bool) -> Head:
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

    def _check_speech(self, semantic_ids: np.ndarray, global_ids: np.ndarray) -> None:
        voice_tokens = self.config.bicodec.speaker_encoder.token_num
        if len(global_ids) != voice_tokens:
            raise NoSpeech(f"The model made a voice of {len(global_ids)} tokens instead of {voice_tokens}; "
                           "try another seed, more max_new_tokens, or constrained sampling.")
        if not len(semantic_ids):
            raise NoSpeech("The model ended before it spoke. Try another seed, a longer text, more max_new_tokens, "
                           "or min_new_tokens.")


def choose_speaker(voice: Voice | None, gender: str | None, pitch: str | None, speed: str | None) -> Voice | Style:
    """Who is to speak: the recorded voice, or one made up. Raises InputError for anything ambiguous."""
    if voice is not None:
        if gender or pitch or speed:
            raise InputError("Give either a voice to clone or gender, pitch and speed, not both.")
        return voice
    if gender is None:
        if pitch or speed:
            raise InputError("pitch and speed need a gender; add --gender female or --gender male.")
        raise InputError("No voice was given: add a recording (--prompt_speech_path) or a gender (--gender).")
    for name, value in (("pitch", pitch), ("speed", speed)):
        if value is None:
            logger.warning("No %s was given; moderate is used.", name)
    return Style(gender, pitch or "moderate", speed or "moderate")
