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

import numpy as np

from sparktts_ms.audio.files import read_prompt
from sparktts_ms.audio.loudness import normalize_volume, reference_clip
from sparktts_ms.audio.mel import MelSpectrogram
from sparktts_ms.bicodec.codec import BiCodec
from sparktts_ms.config import ModelConfig
from sparktts_ms.config_files import read_config
from sparktts_ms.errors import AudioError, InputError, ModelError, SparkTTSError, VoiceError
from sparktts_ms.normalize import normalize as normalized
from sparktts_ms.phases import clone_phases, free_phases, style_phases
from sparktts_ms.prompt import Style, check_text, clone_prompt, style_prompt
from sparktts_ms.qwen2.engine import Engine, Phase
from sparktts_ms.qwen2.language_model import Head, LanguageModel
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.reading import Reading
from sparktts_ms.runtime import Runtime
from sparktts_ms.text import parts
from sparktts_ms.utterance import Chunks, Utterance
from sparktts_ms.vocabulary import Vocabulary
from sparktts_ms.voice import Speech, Voice
from sparktts_ms.wav2vec2.features import FeatureExtractor
from sparktts_ms.weights.open import find_weights

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
        self._heads: dict[bool, Head] = {}
        self._voices: OrderedDict[tuple[bytes, str | None], Voice] = OrderedDict()
        self.mel = MelSpectrogram(**vars(config.bicodec.mel))
        self.codec = BiCodec(find_weights(model_dir / "BiCodec"), config.bicodec, runtime)
        self._llm_file = find_weights(model_dir / "LLM")

    @classmethod
    def from_pretrained(cls, model_dir: str | Path, device_target: str = "auto", device_id: int = 0,
                        mode: str = "graph", dtype: str | None = None, weights: str = "float") -> SparkTTS:
        """Load a model directory in the released layout (SparkAudio/Spark-TTS-0.5B).

        device_target: "auto" (Ascend where there is one), "Ascend" or "CPU". mode: "graph" or "pynative". dtype: of the
        language model, "float32" or "bfloat16"; None is bfloat16 on Ascend and float32 on CPU. weights: "int8" stores the
        language model's matrices in 8 bits (CPU), which speaks three times as fast from a quarter of the memory. Networks
        are loaded when they are first needed (see `load`).
        Raises ModelError for a directory that is missing, incomplete or damaged, DeviceError for the device.
        """
        folder = Path(model_dir)
        if not folder.is_dir():
            raise ModelError(f"The model directory {folder} does not exist. `python -m cli.download` fetches it; "
                             "--model_dir says where it is, and pretrained_models/Spark-TTS-demo is a small one to try.")
        config = read_config(folder)
        return cls(folder, config, Runtime.start(device_target, device_id, mode, dtype, weights))

    def encode_voice(self, path: str | Path, transcript: str | None = None) -> Voice:
        """Turn a recording into a Voice: its first 6 s (repeated if shorter) define the speaker.

        With a `transcript` of the whole recording, how it was spoken is kept too (needs wav2vec 2.0, loaded on first
        use) and speech continues it; such a recording may last at most 30 s. What was encoded before is remembered by its
        content. Raises AudioError.
        """
        recording = read_prompt(path, self.sample_rate, MAX_PROMPT_SECONDS)
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
        global_ids = self.codec.global_ids(self.mel(clip))
        if transcript is None:
            return Voice(global_ids)
        return Voice(global_ids, self.codec.semantic_ids(self.features(samples)), transcript)

    def synthesize(self, text: str, voice: Voice | None = None, gender: str | None = None, pitch: str | float | None = None,
                   speed: str | float | None = None, sampling: Sampling = Sampling(), normalize: bool = True,
                   progress: Callable[[float], None] | None = None) -> Speech:
        """Say `text` in a recorded `voice`, or in one made from gender ("female", "male"), pitch and speed ("very_low",
        "low", "moderate", "high", "very_high", or Hz and syllables per second; "moderate" if not given). A recorded voice can
        be given pitch and speed too, as words.

        The text may have any length: it is cut at sentence ends, and where one speaks longer than 20 s also within, and read
        in parts, in one voice.
        `normalize` writes numbers and symbols out as words first. `progress` is called with the seconds of speech so far.
        Raises InputError for a request that makes no sense, VoiceError for another model's voice, NoSpeech if the model says
        nothing.
        """
        reading = self.read(text, voice, gender, pitch, speed, sampling, normalize)
        with _ended(reading):
            while not reading.proceed():
                self.engine.step()
                if progress is not None:
                    progress(reading.seconds)
        return reading.speech()

    def stream(self, text: str, voice: Voice | None = None, gender: str | None = None, pitch: str | float | None = None,
               speed: str | float | None = None, sampling: Sampling = Sampling(), normalize: bool = True,
               chunks: Chunks = Chunks()) -> Iterator[np.ndarray]:
        """Like `synthesize`, but yields samples, float32 in (-1, 1), while the model still speaks; chunks follow each other
        without a gap or a fade. Leaving the iterator early stops the reading.

        With a look-ahead of the decoder's field (67 frames at the released size, 1.3 s) the chunks together equal what
        `synthesize` returns; the default differs by less than -50 dB of the signal.
        """
        return self._chunks(self.read(text, voice, gender, pitch, speed, sampling, normalize), chunks)

    def read(self, text: str, voice: Voice | None = None, gender: str | None = None, pitch: str | float | None = None,
             speed: str | float | None = None, sampling: Sampling = Sampling(), normalize: bool = True) -> Reading:
        """Ask for a text of any length: it is made as the engine steps, in company with all else that was asked for."""
        style = choose_speaker(voice, gender, pitch, speed)
        text = check_text(text)
        cut = parts(check_text(normalized(text)) if normalize else text)

        def begin(part: str, luck: Sampling, first: Utterance | None) -> Utterance:
            return self._begin(part, voice, style, luck, first)
        return Reading(cut, sampling, self.engine, self.sample_rate, begin)

    def request(self, text: str, voice: Voice | None = None, gender: str | None = None, pitch: str | float | None = None,
                speed: str | float | None = None, sampling: Sampling = Sampling()) -> Utterance:
        """Ask for one utterance of exactly this text, uncut (`read` is for texts of any length)."""
        return self._begin(check_text(text), voice, choose_speaker(voice, gender, pitch, speed), sampling, None)

    def _begin(self, text: str, voice: Voice | None, style: Style | None, sampling: Sampling,
               first: Utterance | None) -> Utterance:
        prompt, phases = self.prompt_for(text, voice, style, first.opening if first is not None else ())
        head = self._head(sampling.constrained)
        if not sampling.constrained:
            phases = free_phases(head.ids, self.vocabulary)
        made = first.made_voice if first is not None and voice is None else voice
        return Utterance(self.engine.add(prompt, phases, sampling, head), made, self.vocabulary, self.codec, self.sample_rate)

    def _chunks(self, reading: Reading, chunks: Chunks) -> Iterator[np.ndarray]:
        with _ended(reading):
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
                   opening: Sequence[int] = ()) -> tuple[np.ndarray, list[Phase]]:
        """Prompt ids [N], and what may follow them. `opening`: what an utterance before began with, whose made-up voice is to
        speak."""
        v = self.vocabulary
        if voice is not None:
            self._check_ids("the voice's ", VoiceError, voice.global_ids, voice.semantic_ids, speech=False)
            return (clone_prompt(v, text, voice.global_ids, voice.transcript, voice.semantic_ids, style),
                    clone_phases(v, continues=voice.transcript is not None))
        assert style is not None
        prompt = style_prompt(v, text, style, opening)
        if opening:
            return prompt, clone_phases(v, continues=False)
        return prompt, style_phases(v, self.config.bicodec.speaker_encoder.token_num, style)

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
        self.runtime.give_back_memory()

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


def choose_speaker(voice: Voice | None, gender: str | None, pitch: str | float | None, speed: str | float | None) -> Style | None:
    """How to speak; None: as the recorded voice does. Raises InputError for anything ambiguous."""
    if voice is not None and gender:
        raise InputError("Give either a voice to clone or a gender, not both.")
    if voice is not None and pitch is None and speed is None:
        return None
    if voice is None and gender is None:
        if pitch is not None or speed is not None:
            raise InputError("pitch and speed need a voice; add --gender female or --gender male, or a recording.")
        raise InputError("No voice was given: add a recording (--prompt_speech_path) or a gender (--gender).")
    for name, value in (("pitch", pitch), ("speed", speed)):
        if value is None:
            logger.warning("No %s was given; moderate is used.", name)
    return Style(gender, "moderate" if pitch is None else pitch, "moderate" if speed is None else speed)


@contextmanager
def _ended(reading: Reading) -> Iterator[None]:
    """Whatever ends the driving ends the reading."""
    try:
        yield
    finally:
        reading.cancel()
