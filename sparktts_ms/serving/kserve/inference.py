"""What the models answer: requests of tensors, made with the server's speech service."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any

import numpy as np

from sparktts_ms.config import BiCodecConfig
from sparktts_ms.errors import AudioError, InputError, quoted
from sparktts_ms.generation.request import Chunks, SpeechRequest
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.serving.kserve.memory import RequestMemory
from sparktts_ms.serving.kserve.models import (
    MODELS,
    REFERENCE,
    VERSION,
    InferRequest,
    Parameter,
    require_inputs,
)
from sparktts_ms.serving.kserve.overlap import OVERLAP_SECONDS, OverlappingChunks
from sparktts_ms.serving.kserve.statistics import ModelStatistics, Stages
from sparktts_ms.serving.kserve.tensors import pad_rows, tensor_error, text
from sparktts_ms.serving.server import SpeechServer
from sparktts_ms.voice import Voice

logger = logging.getLogger("sparktts_ms")

SERVER_NAME = "spark-tts-mindspore"
SERVER_VERSION = "0.1.0"            # as in pyproject.toml
EXTENSIONS = ("model_repository", "model_configuration", "statistics", "parameters",
              "binary_tensor_data")
API = "kserve"                      # in the metrics
MAX_TOKENS = Sampling().max_new_tokens
# The first chunk, too, is followed by a held back overlap, so it has some frames more than others'.
CHUNKS = Chunks(first=Chunks().first + int(50 * OVERLAP_SECONDS))
SAMPLING = {"seed": int, "top_k": int, "max_new_tokens": int, "temperature": float, "top_p": float}
NO_TOKEN = -1                       # fills up shorter rows of semantic_tokens

Outputs = dict[str, np.ndarray]


class Inference:
    """Answers requests, and counts them. For one event loop."""

    def __init__(self, server: SpeechServer):
        self.server = server
        self.speech = server.speech
        self.statistics = {name: ModelStatistics(name, VERSION) for name in MODELS}
        self.memory = RequestMemory(server.settings.limits.bodies)

    @property
    def ready(self) -> bool:
        """Whether the models take requests."""
        return self.speech.is_ready

    def config(self, name: str) -> dict[str, Any]:
        """A model's configuration, as the JSON of Triton's ModelConfig."""
        return MODELS[name].config({
            "audio_tokenizer_frame_rate": "50",
            "audio_chunk_overlap_duration": str(OVERLAP_SECONDS),
            "sample_rate": "16000",
        })

    def server_metadata(self) -> dict[str, Any]:
        """As the protocol's JSON."""
        return {"name": SERVER_NAME, "version": SERVER_VERSION,
                "extensions": list(EXTENSIONS)}

    def repository_index(self, only_ready: bool = False) -> list[dict[str, str]]:
        """The models and their states, as the JSON of Triton's extension."""
        if only_ready and not self.ready:
            return []
        state = {"state": "READY", "reason": ""}
        if not self.ready:
            state = {"state": "UNAVAILABLE", "reason": self.speech.state}
        return [{"name": name, "version": VERSION, **state} for name in MODELS]

    async def infer(self, request: InferRequest, stages: Stages) -> Outputs:
        """All outputs [B, ...] of a request. Rows that are shorter than others are filled up: a
        waveform with silence, semantic_tokens with -1. Raises InputError, AudioError, VoiceError,
        NoSpeech, ServiceClosed."""
        stages.batch = request.batch
        stages.enter("compute_infer")
        if request.model.name == "audio_tokenizer":
            return await self._tokenize(request, stages)
        if request.model.name == "vocoder":
            return await self._decode(request, stages)
        rows: list[list[np.ndarray]] = [[] for _ in range(request.batch)]
        async with aclosing(self._speak(request, stages, None)) as speech:
            async for row, samples in speech:
                rows[row].append(samples)
        return {"waveform": pad_rows([np.concatenate(row) for row in rows], 0.0)}

    async def stream(self, request: InferRequest,
                     stages: Stages) -> AsyncGenerator[tuple[int, Outputs], None]:
        """Responses of a stream, row by row: the row, and outputs [1, ...] of it. A waveform comes
        in chunks, each of which begins with the last 0.1 s of the one before (`overlap`). A model
        that is not decoupled has one response with all rows."""
        stages.batch = request.batch
        if not request.model.decoupled:
            yield 0, await self.infer(request, stages)
            return
        stages.enter("compute_infer")
        chunks = [OverlappingChunks(self.speech.sample_rate) for _ in range(request.batch)]
        current = 0
        async with aclosing(self._speak(request, stages, CHUNKS)) as speech:
            async for row, samples in speech:
                if row != current:
                    last = chunks[current].finish()
                    if last is not None:
                        yield current, {"waveform": last[np.newaxis]}
                    current = row
                chunk = chunks[row].push(samples)
                if chunk is not None:
                    yield row, {"waveform": chunk[np.newaxis]}
        last = chunks[current].finish()
        if last is not None:
            yield current, {"waveform": last[np.newaxis]}

    async def _speak(self, request: InferRequest, stages: Stages,
                     chunks: Chunks | None) -> AsyncGenerator[tuple[int, np.ndarray], None]:
        """Rows and samples [N]: of the first row, then of the next; all are made at once."""
        with self.speech.in_progress():
            requests = await self._speech_requests(request)
        async with AsyncExitStack() as stack:
            streams = []
            for row in requests:
                stream = await self.speech.submit(row, api=API, chunks=chunks)
                streams.append(await stack.enter_async_context(stream))
            for row_number, stream in enumerate(streams):
                async for samples in stream:
                    yield row_number, samples
            waited = max(stream.queue_seconds for stream in streams)
            stages.move(int(1e9 * waited), "compute_infer", "queue")

    async def _speech_requests(self, request: InferRequest) -> list[SpeechRequest]:
        """Of each row."""
        parameters = request.parameters
        options = speech_options(parameters)
        sampling = sampling_options(parameters)
        name = parameters.get("voice")
        needs_reference = name is None and "gender" not in options
        specs = request.model.inputs
        require_inputs(request, None if needs_reference else ["target_text"])
        for reference in REFERENCE:
            if not needs_reference and reference.name in request.inputs:
                raise tensor_error(f"Both {reference.name} and another voice were given.",
                                   "Give one of them.")
        voice = None
        if isinstance(name, str):
            voice = await self.server.voices.find(name, self.speech)
        elif name is not None:
            raise InputError(f"The parameter voice is {quoted(name)}; it must be a name.")
        rows = []
        for row in range(request.batch):
            texts = {spec.name: text(spec, request.inputs[spec.name][row, 0])
                     for spec in specs if spec.datatype == "BYTES" and spec.name in request.inputs}
            target = texts["target_text"]
            if not target.strip():
                raise InputError(f"{_of_row('target_text', request, row)} is empty.",
                                 "Give at least one word.", code="no_text")
            if needs_reference:
                voice = await self._reference(request, row, texts["reference_text"])
            rows.append(SpeechRequest(target, voice, sampling=sampling, **options))
        return rows

    async def _reference(self, request: InferRequest, row: int, transcript: str) -> Voice:
        """The voice of a row's reference. A transcript of more speech than can be continued is left
        out."""
        samples = _reference_samples(request, row)
        try:
            try:
                return await self.speech.encode_voice(samples, transcript.strip() or None)
            except AudioError as error:
                if error.code != "recording_too_long":
                    raise
                logger.warning("The reference is too long to be continued; it gives the voice.")
                return await self.speech.encode_voice(samples)
        except AudioError as error:
            error.subject = _of_row("reference_wav", request, row)
            raise

    async def _take_turn(self, stages: Stages) -> None:
        """Wait as long as any request for the model waits for its first step."""
        stages.enter("queue")
        await self.speech.take_turn()
        stages.enter("compute_infer")

    async def _tokenize(self, request: InferRequest, stages: Stages) -> Outputs:
        require_inputs(request)
        await self._take_turn(stages)
        rows = []
        for row in range(request.batch):
            try:
                samples = _reference_samples(request, row)
                rows.append(await self.speech.tokenize(samples))
            except AudioError as error:
                error.subject = _of_row("reference_wav", request, row)
                raise
        global_ids, semantic_ids = zip(*rows, strict=True)
        return {"global_tokens": np.stack(global_ids).astype(np.int32),
                "semantic_tokens": pad_rows(semantic_ids, NO_TOKEN).astype(np.int32)}

    async def _decode(self, request: InferRequest, stages: Stages) -> Outputs:
        require_inputs(request)
        check_tokens(request.inputs, self.speech.codec_config)
        await self._take_turn(stages)
        rows = []
        for row in range(request.batch):
            semantic_ids = request.inputs["semantic_tokens"][row]
            semantic_ids = semantic_ids[:_num_tokens(semantic_ids)]
            rows.append(await self.speech.decode(request.inputs["global_tokens"][row],
                                                 semantic_ids))
        return {"waveform": pad_rows(rows, 0.0)}


def speech_options(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """Fields of a SpeechRequest among a request's parameters. Raises InputError."""
    options: dict[str, Any] = {}
    for name in ("gender", "pitch", "speed"):
        value = parameters.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or (name == "gender" and not isinstance(value, str)):
            raise InputError(f"The parameter {name} is {quoted(value)}.", "Give a name of a level.")
        options[name] = value
    return options


def sampling_options(parameters: Mapping[str, Parameter]) -> Sampling:
    """How a request's parameters say that tokens are sampled. Raises InputError."""
    options: dict[str, Any] = {}
    for name, kind in SAMPLING.items():
        value = parameters.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, kind)):
            wanted = "whole number" if kind is int else "number"
            raise InputError(f"The parameter {name} is {quoted(value)}; it must be a {wanted}.")
        options[name] = value
    if options.get("max_new_tokens", 1) > MAX_TOKENS:
        raise InputError(f"The parameter max_new_tokens is {quoted(options['max_new_tokens'])}; at "
                         f"most {MAX_TOKENS} are allowed.")
    return Sampling(**options)


def check_tokens(inputs: Mapping[str, np.ndarray], config: BiCodecConfig) -> None:
    """Raises InputError for tokens that the codec does not have."""
    global_tokens, semantic_tokens = inputs["global_tokens"], inputs["semantic_tokens"]
    count = config.speaker_encoder.token_num
    if global_tokens.shape[1] != count:
        raise tensor_error(f"global_tokens has {global_tokens.shape[1]} tokens a row; it must have "
                           f"{count}.")
    if not 1 <= semantic_tokens.shape[1] <= MAX_TOKENS:
        raise tensor_error(f"semantic_tokens has {semantic_tokens.shape[1]} tokens a row; it must "
                           f"have 1 to {MAX_TOKENS}.")
    valid = [semantic_tokens[row, :_num_tokens(semantic_tokens[row])]
             for row in range(len(semantic_tokens))]
    for name, rows, size in (("global_tokens", global_tokens, config.speaker_encoder.codebook_size),
                             ("semantic_tokens", valid, config.quantizer.codebook_size)):
        for row in rows:
            if not len(row) or row.min() < 0 or row.max() >= size:
                raise tensor_error(f"{name} must lie in 0..{size - 1}.")


def _num_tokens(row: np.ndarray) -> int:
    """Without those that fill up a row at its end."""
    tokens = np.flatnonzero(row != NO_TOKEN)
    return int(tokens[-1]) + 1 if len(tokens) else 0


def _reference_samples(request: InferRequest, row: int) -> np.ndarray:
    """The samples [N] that reference_wav_len says. Raises InputError."""
    wav = request.inputs["reference_wav"][row]
    length = int(request.inputs["reference_wav_len"][row, 0])
    if not 1 <= length <= len(wav):
        raise tensor_error(f"{_of_row('reference_wav_len', request, row)} is {length}; it must lie "
                           f"in 1..{len(wav)}, the size of reference_wav.")
    return wav[:length]


def _of_row(name: str, request: InferRequest, row: int) -> str:
    return name if request.batch == 1 else f"{name} of row {row}"
