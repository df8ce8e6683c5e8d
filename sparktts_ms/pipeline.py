"""Text to speech, from text to samples.

    text -> segments                    text.normalize, text.split, by generation.segments
    segment, voice -> prompt ids        generation.prompt
    prompt ids -> ids of speech         qwen2.engine, by generation.grammar
    semantic ids, global ids -> samples bicodec.codec
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sparktts_ms.bicodec.chunking import CompiledLengths
from sparktts_ms.bicodec.codec import BiCodec
from sparktts_ms.config import ModelConfig
from sparktts_ms.config_files import read_config
from sparktts_ms.errors import ModelError
from sparktts_ms.generation.attributes import VoiceDescription
from sparktts_ms.generation.calibration import calibration_prompts
from sparktts_ms.generation.generator import Generator
from sparktts_ms.generation.long_form import LongFormGeneration
from sparktts_ms.generation.request import Chunks, SpeechRequest, as_request
from sparktts_ms.generation.segments import Segments
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.generation.voice_cache import VoiceCache, default_folder
from sparktts_ms.generation.voice_encoder import VoiceEncoder
from sparktts_ms.generation.voice_generation import VoiceGeneration
from sparktts_ms.qwen2.engine import Engine
from sparktts_ms.qwen2.language_model import LanguageModel
from sparktts_ms.runtime import Runtime
from sparktts_ms.text.language import check_language
from sparktts_ms.voice import Speech, Voice, check_ids
from sparktts_ms.weights.checkpoint import find_weights
from sparktts_ms.weights.memory_limit import warn_of_memory


class SparkTTS:
    """A loaded model, for one thread at a time; `Service` is for many."""

    def __init__(self, model_dir: Path, config: ModelConfig, runtime: Runtime,
                 voices: VoiceCache | None = None):
        self.config = config
        self.runtime = runtime
        self.sample_rate = config.audio.sample_rate
        tokenizer = model_dir / "LLM" / "tokenizer.json"
        self.vocabulary = Vocabulary(tokenizer, config.llm.eos_token_id, config.llm.vocab_size)
        self.vocabulary.check_codec(config.bicodec)
        wav2vec2_file = find_weights(model_dir / "wav2vec2-large-xlsr-53")
        self.codec = BiCodec(find_weights(model_dir / "BiCodec"), config.bicodec, runtime)
        self.voice_encoder = VoiceEncoder(wav2vec2_file, self.codec, config, runtime,
                                          voices)
        self._llm_file = find_weights(model_dir / "LLM")

    @classmethod
    def from_pretrained(cls, model_dir: str | Path, device_target: str = "auto", device_id: int = 0,
                        mode: str = "graph", dtype: str | None = None, quantize: str = "none",
                        capture: bool | None = None, weight_cache: bool = True,
                        low_memory: bool = False,
                        voice_cache: bool | str | Path = False) -> SparkTTS:
        """Load a model directory in the released layout (SparkAudio/Spark-TTS-0.5B).

        device_target: "auto" (Ascend where there is one), "Ascend" or "CPU".
        mode: "graph" or "pynative".
        dtype: of the language model, "float32" or "bfloat16"; None: bfloat16 on Ascend only.
        quantize: "int8" stores the language model's matrices in 8 bits (CPU): three times as fast,
        from a quarter of the memory. "int4" stores most of them in 4 bits, faster and less exact
        (see docs/performance.md), for where two weak cores must keep up with the speech.
        capture: record the launches of a decode step and replay them as one (Ascend, graph mode);
        None: as the settings of `cli.doctor` say, else not.
        weight_cache: keep packed weights in a cache folder, so that later starts take a second
        (CPU; see docs/performance.md).
        low_memory: free what encodes a recording part by part after its use, for a program that
        encodes one (CPU).
        voice_cache: a folder in which the voices of recordings are kept, so that a known recording
        is not encoded again; True: one beside the cache of weights. Voices are personal data.
        Networks are loaded when they are first needed (see `load`). Raises ModelError for a
        directory that is missing, incomplete or damaged, OutputError for a folder of voices that
        cannot be made, DeviceError for the other arguments.
        """
        folder = Path(model_dir)
        if not folder.is_dir():
            problem = "is no folder" if folder.exists() else "does not exist"
            raise ModelError(f"The model directory {{subject}} {problem}.",
                             "`python -m cli.download` fetches the released model; "
                             "pretrained_models/Spark-TTS-demo is a small one to try.",
                             subject=folder, code="no_model_dir")
        try:
            config = read_config(folder)
            runtime = Runtime.start(device_target, device_id, mode, dtype, quantize, capture,
                                    weight_cache, low_memory)
            if runtime.device_target == "CPU":
                warn_of_memory(folder, runtime.llm_dtype)
            voices = None
            if voice_cache:
                kept = default_folder() if voice_cache is True else Path(voice_cache)
                voices = VoiceCache(kept, runtime.arithmetic, runtime.cores)
            return cls(folder, config, runtime, voices)
        except PermissionError as error:
            raise ModelError("{subject} cannot be read by this user.",
                             "Give it the right to read the model directory and all files in it.",
                             subject=error.filename or folder) from None

    def encode_voice(self, path: str | Path, transcript: str | None = None) -> Voice:
        """Turn a recording into a Voice: the first 6 s of its speech (repeated if shorter) define
        the speaker.

        With a `transcript` of the whole recording (at most 30 s), the voice holds its semantic ids
        too, and speech continues the recording; this loads wav2vec 2.0 on first use. Voices are
        cached by the recording's content; `notices` of the voice say what is odd about it, and are
        logged. Raises AudioError.
        """
        return self.voice_encoder.encode(path, transcript)

    def synthesize(self, text: str | SpeechRequest, voice: Voice | None = None, *,
                   progress: Callable[[float], None] | None = None, **options: Any) -> Speech:
        """Generate speech in a recorded `voice`, or in one generated from gender, pitch and speed.

        text: a SpeechRequest, or its text; `options` are then the other fields of SpeechRequest
        (gender, pitch, speed, sampling, normalize, split).
        progress: called with the seconds of speech generated so far.
        Raises InputError for a request that makes no sense or is in a language that the model does
        not speak, VoiceError for another model's voice, NoSpeech if nothing audible is generated.
        """
        generation = self.start(as_request(text, voice, options))
        return generation.speech(list(generation.run(progress)))

    def stream(self, text: str | SpeechRequest, voice: Voice | None = None, *,
               chunks: Chunks = Chunks(), **options: Any) -> Iterator[np.ndarray]:
        """Like `synthesize`, but yields samples, float32 in (-1, 1), while speech is generated.

        Leaving the iterator early cancels the request. With a look-ahead of the decoder's receptive
        field (67 frames at the released size, 1.3 s) the chunks together equal what `synthesize`
        returns; by default all but the first chunk differ by less than -50 dB of the signal. The
        first has a shorter look-ahead and fades into the second (see Chunks).
        """
        return self.start(as_request(text, voice, options), chunks).run()

    def generate_voices(self, descriptions: Iterable[VoiceDescription]) -> list[Voice]:
        """Generate voices from gender, pitch, speed and seed, all in one batch. Equal descriptions
        give equal voices. Raises InputError."""
        generation = VoiceGeneration(descriptions, self.generator)
        try:
            while not generation.done:
                self.engine.step()
        finally:
            generation.cancel()
        return generation.voices

    def prepare(self, request: SpeechRequest, executor: Executor | None = None) -> Segments:
        """Normalize and split a request's text as far as it is needed first, in any thread.

        executor: prepares the rest when it is needed; None: `start` and what follows do. Raises
        InputError.
        """
        check_language(request.text, self.config.languages)
        segments = Segments(request, executor)
        request.log_defaults()
        return segments

    def start(self, request: SpeechRequest, chunks: Chunks | None = None,
              segments: Segments | None = None, gives_way: bool = True) -> LongFormGeneration:
        """Start a request, to be generated in the same batch as others; `segments` are those that
        `prepare` made of it. See LongFormGeneration."""
        return LongFormGeneration(request, segments or self.prepare(request), self.generator,
                                  chunks, gives_way)

    def decode(self, *, global_ids: np.ndarray, semantic_ids: np.ndarray) -> np.ndarray:
        """Global ids [32] and semantic ids [T] -> samples [320 T], float32 in (-1, 1). Raises
        InputError for ids that the codec does not have."""
        check_ids(self.config.bicodec, global_ids, semantic_ids)
        return self.codec.decode(np.asarray(global_ids), np.asarray(semantic_ids))

    def load(self) -> SparkTTS:
        """Load now what generation needs, instead of at the first request. Returns itself."""
        self.codec.load_decoder()
        self.generator.head(constrained=True)
        return self

    def compile(self, lengths: CompiledLengths) -> Iterator[str]:
        """Compile what requests would wait for, or what they do without: one graph a step, whose
        name it yields. lengths: of the decoder's inputs."""
        yield from self.generator.head(constrained=True).compile()
        yield from self.llm.compile()
        yield from self.codec.compile(lengths)

    def release_prompt_encoder(self) -> None:
        """Free the networks that only recordings need, until the next one is encoded."""
        self.voice_encoder.release()

    @cached_property
    def generator(self) -> Generator:
        """What turns text into ids; loads the language model on first use."""
        return Generator(self.vocabulary, self.llm, self.codec, self.sample_rate)

    @cached_property
    def llm(self) -> LanguageModel:
        """The language model; loaded late, so that a recording's encoder can be freed before."""
        return LanguageModel(self._llm_file, self.config.llm, self.runtime,
                             calibration_prompts(self.vocabulary))

    @property
    def engine(self) -> Engine:
        """Continuous batching over the language model."""
        return self.generator.engine
