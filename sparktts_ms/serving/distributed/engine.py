"""One replica of a Serve deployment: the engine on one device."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from queue import Empty
from typing import Any

import numpy as np

from sparktts_ms.generation.attributes import VoiceDescription
from sparktts_ms.generation.request import Chunks, SpeechRequest
from sparktts_ms.service import Service
from sparktts_ms.serving.async_service import MAX_UNREAD_SECONDS
from sparktts_ms.serving.distributed.messages import EngineInfo, Progress
from sparktts_ms.serving.distributed.ray_metrics import EngineMetrics
from sparktts_ms.serving.environment import load_service
from sparktts_ms.serving.recordings.encoder import encode_voice
from sparktts_ms.serving.settings import Settings
from sparktts_ms.voice import Voice

MAX_VOICES = 1024           # of recordings that an engine remembers; each has a few hundred numbers

Load = Callable[[], Service]


class Engine:
    """Methods are called through a Serve handle.

    load: returns the service on the replica's device. stuck_seconds: see `Settings`. Errors of the
    kind SparkTTSError reach the caller as the cause of Ray's error.
    """

    def __init__(self, load: Load = load_service, stuck_seconds: float = Settings.stuck_seconds):
        self._stuck_seconds = stuck_seconds
        self._service = load()
        self._service.warm_up()
        self._voices: dict[str, asyncio.Task[Voice]] = {}       # by recording
        self._speaking: set[str] = set()
        self._held: dict[str, float] = {}       # until when a request waits for its reader
        self._metrics = EngineMetrics(self._service)

    def describe(self) -> EngineInfo:
        """What the ingress must know of the model."""
        service = self._service
        return EngineInfo(service.sample_rate, service.num_slots, service.codec_config,
                          service.languages)

    async def speak(self, request: SpeechRequest, chunks: Chunks | None,
                    request_id: str) -> AsyncIterator[Progress]:
        """Samples while they are made; a caller that cancels ends the request. request_id: see
        `hold`."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):            # the loop has been closed
                loop.call_soon_threadsafe(changed.set)

        work = loop.run_in_executor(None, lambda: self._service.submit(
            request, chunks=chunks, keep=False, max_unread_seconds=MAX_UNREAD_SECONDS,
            on_change=wake))
        try:
            job = await asyncio.shield(work)
        except asyncio.CancelledError:
            work.add_done_callback(_cancel_late)
            raise
        self._speaking.add(request_id)
        try:
            yield Progress(None, job.start_time is not None, job.usage)
            while True:
                if (seconds := self._held.pop(request_id, 0.0) - time.monotonic()) > 0:
                    await asyncio.sleep(seconds)
                changed.clear()
                try:
                    samples = job.read_nowait()
                except Empty:
                    await changed.wait()
                    continue
                yield Progress(samples, job.start_time is not None, job.usage)
                if samples is None:
                    return
        finally:
            job.cancel()
            self._held.pop(request_id, None)
            self._speaking.discard(request_id)

    async def hold(self, request_id: str, seconds: float) -> None:
        """Send nothing of a request for so long: its reader has more than enough. Called on all
        engines; those that do not speak it do nothing."""
        if request_id in self._speaking:
            self._held[request_id] = time.monotonic() + seconds

    async def encode_voice(self, recording: bytes, transcript: str | None) -> Voice:
        """The voice of a file's bytes, of which the latest are remembered. Called with their
        `recording_id` as the multiplexed model's id, so that the next request with that recording
        comes here, too."""
        key = recording_id(recording, transcript)
        voice = self._voices.pop(key, None)
        if voice is None:
            work = asyncio.to_thread(self._encode, recording, transcript)
            voice = asyncio.create_task(work)
            voice.add_done_callback(functools.partial(self._forget_failed, key))
        self._voices[key] = voice                   # the latest one
        if len(self._voices) > MAX_VOICES:
            del self._voices[next(iter(self._voices))]
        return await asyncio.shield(voice)

    def _forget_failed(self, key: str, voice: asyncio.Task[Voice]) -> None:
        """Its error would keep the recording in memory."""
        if voice.cancelled() or voice.exception() is not None:
            self._voices.pop(key, None)

    def _encode(self, recording: bytes, transcript: str | None) -> Voice:
        self._metrics.note_encoded()
        return encode_voice(self._service, recording, transcript)

    async def generate_voices(self, descriptions: Sequence[VoiceDescription]) -> list[Voice]:
        """See `Service.generate_voices`."""
        return await asyncio.to_thread(self._service.generate_voices, descriptions)

    async def tokenize(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Service.tokenize`."""
        return await asyncio.to_thread(self._service.tokenize, samples)

    async def decode(self, global_ids: np.ndarray, semantic_ids: np.ndarray) -> np.ndarray:
        """Samples [320 T]; see `Service.decode`."""
        def decode() -> np.ndarray:
            return np.concatenate(list(self._service.decode(global_ids, semantic_ids)))

        return await asyncio.to_thread(decode)

    def check_health(self) -> None:
        """Called by Serve, which replaces a replica that fails: a step that never ends means that
        the device does not answer."""
        seconds = self._service.stuck_seconds
        if seconds > self._stuck_seconds:
            raise RuntimeError(f"A step has been running for {seconds:.0f} s: the device is stuck.")


def recording_id(recording: bytes, transcript: str | None) -> str:
    """Identifies a recording and its transcript: the multiplexed model's id."""
    digest = hashlib.sha256(recording)
    digest.update(b"\0" + (transcript or "").encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _cancel_late(work: Any) -> None:
    """Cancel a job that was made for a caller that has left."""
    if not work.cancelled() and work.exception() is None:
        work.result().cancel()
