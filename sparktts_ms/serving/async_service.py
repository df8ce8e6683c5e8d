"""Requests of an event loop to the engine: a bounded queue, cancellation, and an end with notice.

    stream = await speech.submit(SpeechRequest("Hello.", voice), api="openai")
    async with stream:
        async for samples in stream: ...
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import numpy as np

from sparktts_ms.config import BiCodecConfig
from sparktts_ms.errors import AudioError, InputError, ServiceClosed, SparkTTSError
from sparktts_ms.generation.request import Chunks, SpeechRequest
from sparktts_ms.service import Service
from sparktts_ms.serving.monitoring.metrics import Metrics
from sparktts_ms.serving.recordings.encoder import RecordingEncoder
from sparktts_ms.serving.settings import Settings
from sparktts_ms.serving.speech_stream import SpeechStream
from sparktts_ms.voice import Voice

MAX_THREADS = 16            # that prepare texts, and more
MAX_READERS = 4             # threads that read recordings, which takes up to a second of a core
MAX_UNREAD_SECONDS = 30.0   # of speech, until a request waits for its reader
STOP_SECONDS = 5.0          # for streams to end after they have been stopped

State = Literal["loading", "ready", "draining"]


class AsyncService:
    """For the coroutines of one event loop, once `start` has been given a service.

    state: "loading" before `start`, "draining" after `drain`; requests are taken when "ready".
    """

    def __init__(self, settings: Settings, metrics: Metrics):
        self.settings = settings
        self.metrics = metrics
        self.state: State = "loading"
        self.service: Service | None = None
        self.streams: set[SpeechStream] = set()
        self.num_requests = 0                   # in progress, those being prepared included
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="speech")
        self._readers = ThreadPoolExecutor(MAX_READERS, thread_name_prefix="recordings")
        self._draining = threading.Event()
        self._recordings = RecordingEncoder()
        metrics.observe(metrics.running, lambda: self._count(started=True))
        metrics.observe(metrics.waiting, lambda: self._count(started=False))
        metrics.observe(metrics.slots, lambda: self._num_slots_used())
        metrics.observe(metrics.ready, lambda: self.is_ready)

    @property
    def sample_rate(self) -> int:
        """Of all samples, in Hz. Raises ServiceClosed while the model is loaded."""
        return self.open_service().sample_rate

    @property
    def codec_config(self) -> BiCodecConfig:
        """What ids the codec has. Raises ServiceClosed while the model is loaded."""
        return self.open_service().codec_config

    @property
    def languages(self) -> tuple[str, ...]:
        """That the model speaks, such as ("zh", "en"). Raises ServiceClosed."""
        return self.open_service().languages

    @property
    def is_stuck(self) -> bool:
        """Whether a step takes so long that the device cannot be answering."""
        service = self.service
        return service is not None and service.stuck_seconds > self.settings.stuck_seconds

    @property
    def is_ready(self) -> bool:
        """Whether requests are taken, and the device answers."""
        return self.state == "ready" and not self.is_stuck

    def start(self, service: Service) -> None:
        """Take requests from now on. From any thread."""
        self.service = service
        if self.state == "loading":
            self.state = "ready"

    async def submit(self, request: SpeechRequest, *, api: str,
                     chunks: Chunks | None = Chunks()) -> SpeechStream:
        """Start a request; its samples come while ids are generated, or with `chunks` None segment
        by segment. api: the protocol, for the metrics.

        Raises InputError ("busy" if too many requests wait, "too_long"), VoiceError, and
        ServiceClosed ("loading", "draining").
        """
        start_time = time.perf_counter()
        try:
            service = self.open_service()
            self._check(request, service)
            self.num_requests += 1
        except SparkTTSError as error:
            self.metrics.failure.labels(api, error.code or "invalid_request").inc()
            raise
        stream = SpeechStream(self, service.sample_rate, api, start_time)
        self.streams.add(stream)                # waiting, until the engine has begun with it
        try:
            await self.start_job(service, request, chunks, stream)
        except BaseException as error:
            stream.end(error)
            raise
        return stream

    async def start_job(self, service: Any, request: SpeechRequest, chunks: Chunks | None,
                        stream: SpeechStream) -> None:
        """Give the stream its job; return when the engine has taken it. Raises as `submit` does."""
        work = self._threads.submit(service.submit, request, chunks=chunks, keep=False,
                                    max_unread_seconds=MAX_UNREAD_SECONDS, on_change=stream.wake)
        stream.job = await self._result(work, lambda job: job.cancel())

    async def encode_voice(self, audio: bytes | np.ndarray,
                           transcript: str | None = None) -> Voice:
        """The voice of a recording: a file's bytes, or samples [N] float32 at 16 kHz.

        Voices are cached by content. Few are encoded at a time, so that many of them do not delay
        requests in other voices. Raises AudioError, InputError ("busy"), ServiceClosed.
        """
        service = self.open_service()
        limits = self.settings.limits
        _check_length("transcript", transcript or "", limits.transcript)
        if isinstance(audio, bytes) and len(audio) > limits.upload:
            raise AudioError(f"The recording is larger than {limits.upload >> 20} MB.",
                             "Cut it to 3 to 10 seconds.", code="too_large")
        with self.in_progress():
            return await self._result(
                self._readers.submit(self._recordings.encode, service, audio, transcript))

    async def tokenize(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Global ids [32] and semantic ids [T] of samples [N] float32 at 16 kHz, all of them.

        Raises AudioError, InputError ("busy"), ServiceClosed.
        """
        service = self.open_service()
        with self.in_progress():
            return await self._result(self._readers.submit(service.tokenize, samples))

    async def take_turn(self) -> None:
        """Return when the steps and calls that were there before have been done."""
        await self.run(self.open_service().take_turn)

    async def decode(self, global_ids: np.ndarray, semantic_ids: np.ndarray) -> np.ndarray:
        """Samples [320 T] of a voice [32] and semantic ids [T], which the codec must have.

        Raises InputError ("busy"), ServiceClosed.
        """
        service = self.open_service()
        with self.in_progress():
            windows = service.decode(global_ids, semantic_ids)
            parts = []
            while (samples := await self.run(next, windows, None)) is not None:
                parts.append(samples)
            return np.concatenate(parts)

    @contextlib.contextmanager
    def in_progress(self) -> Iterator[None]:
        """Count a request as long as it has no stream. Raises InputError ("busy"), ServiceClosed.
        """
        self._check_queue(self.open_service())
        self.num_requests += 1
        try:
            yield
        finally:
            self.num_requests -= 1

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function in one of the threads."""
        return await self._result(self._threads.submit(function, *arguments))

    async def until_draining(self) -> None:
        """Return when the server is to stop: for connections that may be idle."""
        while not self._draining.is_set():
            await asyncio.sleep(0.25)

    def drain(self, seconds: float | None = None) -> None:
        """Take no more requests; return when those in progress are done, at most after `seconds`,
        when they are stopped. From a thread that is not the event loop's."""
        self.refuse_requests()
        seconds = self.settings.drain_seconds if seconds is None else seconds
        if not self._wait_until_idle(seconds):
            for stream in list(self.streams):
                stream.stop()
            self._wait_until_idle(STOP_SECONDS)

    def refuse_requests(self) -> None:
        """Take no more requests. From any thread."""
        self.state = "draining"
        self._draining.set()

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._readers.shutdown(wait=False, cancel_futures=True)

    def open_service(self) -> Service:
        """The service. Raises ServiceClosed ("loading", "draining")."""
        if self.state == "draining":
            raise ServiceClosed("The server is shutting down.", "Try another one, or again later.",
                                code="draining")
        if self.service is None:
            raise ServiceClosed("The server is loading the model.", "Try again in a few seconds.",
                                code="loading")
        return self.service

    def _check(self, request: SpeechRequest, service: Service) -> None:
        _check_length("text", request.text, self.settings.limits.text)
        self._check_queue(service)

    def _check_queue(self, service: Service) -> None:
        if self.num_requests >= service.num_slots + self.settings.max_queue:
            raise InputError("The server is busy.", "Try again in a few seconds.", code="busy")

    def _count(self, started: bool) -> int:
        jobs = [stream.job for stream in list(self.streams) if stream.job is not None]
        return sum((job.start_time is not None) == started for job in jobs if not job.done)

    def _num_slots_used(self) -> int:
        return self.service.num_slots_used if self.service is not None else 0

    def _wait_until_idle(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self.num_requests and time.monotonic() < end:
            time.sleep(0.05)
        return not self.num_requests

    @staticmethod
    async def _result(work: Future, discard: Callable[[Any], None] | None = None) -> Any:
        """A thread's result. Who stops waiting for it does not stop the thread; its result is
        discarded then."""
        try:
            return await asyncio.shield(asyncio.wrap_future(work))
        except asyncio.CancelledError:
            def late(done: Future) -> None:
                if discard is not None and not done.cancelled() and done.exception() is None:
                    discard(done.result())

            if not work.cancel():
                work.add_done_callback(late)
            raise
        finally:
            del work            # else its exception, and what that holds, would wait for the gc


def _check_length(name: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise InputError(f"The {name} has {len(text):,} characters; at most {limit:,} are allowed.",
                         code="too_long")
