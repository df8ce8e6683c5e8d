"""An AsyncService whose requests go to the engines of a Serve deployment."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from sparktts_ms.config import BiCodecConfig
from sparktts_ms.errors import InputError, ServiceClosed, SparkTTSError, one_line
from sparktts_ms.generation.attributes import VoiceDescription
from sparktts_ms.generation.request import Chunks, SpeechRequest
from sparktts_ms.serving.async_service import MAX_READERS, MAX_UNREAD_SECONDS, AsyncService
from sparktts_ms.serving.distributed.engine import recording_id
from sparktts_ms.serving.distributed.messages import EngineInfo, Progress
from sparktts_ms.serving.monitoring.metrics import Metrics
from sparktts_ms.serving.settings import Settings
from sparktts_ms.serving.speech_stream import SpeechStream
from sparktts_ms.voice import Voice

HOLD_SECONDS = 60.0         # of speech that a reader has not read, until the engine waits
MAX_ATTEMPTS = 2            # one more, if an engine fails before the first samples


class EngineError(Exception):
    """What nobody expected of an engine, whose log has the traceback."""


class RemoteSpeech(AsyncService):
    """For the coroutines of the ingress's event loop. Serve limits how many streams wait; other
    calls wait for a thread before they go to Serve, and are limited here."""

    def __init__(self, settings: Settings, metrics: Metrics):
        super().__init__(settings, metrics)
        self._num_calls = 0

    async def start_job(self, service: RemoteService, request: SpeechRequest,
                        chunks: Chunks | None, stream: SpeechStream) -> None:
        """Return when an engine has taken the request."""
        job = RemoteJob(service, request, chunks, stream.wake)
        stream.job = job        # type: ignore[assignment]
        await job.start()

    async def encode_voice(self, audio: bytes | np.ndarray,
                           transcript: str | None = None) -> Voice:
        """See `AsyncService.encode_voice`."""
        with self._call():
            return await super().encode_voice(audio, transcript)

    async def tokenize(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `AsyncService.tokenize`."""
        with self._call():
            return await super().tokenize(samples)

    async def decode(self, global_ids: np.ndarray, semantic_ids: np.ndarray) -> np.ndarray:
        """See `AsyncService.decode`."""
        with self._call():
            return await super().decode(global_ids, semantic_ids)

    @contextmanager
    def _call(self) -> Iterator[None]:
        if self._num_calls >= MAX_READERS + self.settings.max_queue:
            raise _busy()
        self._num_calls += 1
        try:
            yield
        finally:
            self._num_calls -= 1

    def _check_queue(self, service: Any) -> None:
        """The engines' queue raises InputError ("busy") when it is full."""


class RemoteService:
    """What an AsyncService asks of a `Service`, by calls of the engines. For threads that are not
    an event loop's; `speak` for event loops.

    All methods raise InputError ("busy") when too many calls wait, and ServiceClosed
    ("engine_failed") when the engine ends meanwhile.
    """

    def __init__(self, engines: DeploymentHandle):
        self._engines = engines
        self._streaming = engines.options(stream=True)
        self._info: EngineInfo = engines.describe.remote().result()

    @property
    def sample_rate(self) -> int:
        return self._info.sample_rate

    @property
    def num_slots(self) -> int:
        return self._info.num_slots

    @property
    def num_slots_used(self) -> int:
        """The engines export their own."""
        return 0

    @property
    def codec_config(self) -> BiCodecConfig:
        return self._info.codec_config

    @property
    def languages(self) -> tuple[str, ...]:
        return self._info.languages

    @property
    def stuck_seconds(self) -> float:
        """Serve checks the engines' health."""
        return 0.0

    def warm_up(self) -> None:
        """An engine is warm before it takes calls."""

    def take_turn(self) -> None:
        """Each call may have another engine, so there is no turn to wait for."""

    def close(self) -> None:
        """Serve ends the engines."""

    def speak(self, request: SpeechRequest, chunks: Chunks | None, request_id: str) -> Any:
        """An asynchronous generator of `Progress`, which can be cancelled."""
        return self._streaming.speak.remote(request, chunks, request_id)

    async def hold(self, request_id: str, seconds: float) -> None:
        """See `Engine.hold`. If it fails, samples are sent on, and this is called again."""
        with suppress(RayError, RayServeException):
            await self._engines.broadcast("hold", request_id, seconds).results_async()

    def encode_voice(self, path: str | Path, transcript: str | None = None) -> Voice:
        """See `Service.encode_voice`. A recording goes to the engine that has encoded it before."""
        recording = Path(path).read_bytes()
        model_id = recording_id(recording, transcript)
        engines = self._engines.options(multiplexed_model_id=model_id)
        return self._call(engines.encode_voice, recording, transcript)

    def generate_voices(self, descriptions: Iterable[VoiceDescription]) -> list[Voice]:
        """See `Service.generate_voices`."""
        return self._call(self._engines.generate_voices, list(descriptions))

    def tokenize(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Service.tokenize`."""
        return self._call(self._engines.tokenize, samples)

    def decode(self, global_ids: np.ndarray, semantic_ids: np.ndarray) -> Iterator[np.ndarray]:
        """See `Service.decode`; all samples at once."""
        yield self._call(self._engines.decode, global_ids, semantic_ids)

    def _call(self, method: Any, *arguments: Any) -> Any:
        """The result of a call, which is repeated on another engine if one fails."""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                with own_errors():
                    return method.remote(*arguments).result()
            except ServiceClosed as error:
                if error.code != "engine_failed" or attempt == MAX_ATTEMPTS:
                    raise


class RemoteJob:
    """A request that an engine works on; `SpeechStream` reads it like a `Job`. For one event loop.

    If the engine fails before it has sent samples, another one does the work. While the reader has
    a lot to read, the engine holds the rest back.
    on_change: called when there is something to read.
    """

    def __init__(self, service: RemoteService, request: SpeechRequest, chunks: Chunks | None,
                 on_change: Callable[[], None]):
        self.usage = (0, 0)
        self.start_time: float | None = None        # by time.perf_counter; None before
        self.cancelled = False
        self.done = False
        self._service = service
        self._request = request
        self._stream_chunks = chunks
        self._request_id = secrets.token_hex(8)
        self._on_change = on_change
        self._chunks: deque[np.ndarray] = deque()
        self._has_samples = False
        self._num_unread = 0                        # samples
        self._holding: asyncio.Task | None = None
        self._error: BaseException | None = None
        self._response: Any = None
        self._loop = asyncio.get_running_loop()
        self._taken: asyncio.Future[None] = self._loop.create_future()
        self._task: asyncio.Task | None = None

    async def start(self) -> None:
        """Return when an engine has taken the request. Raises what kept it from doing so."""
        self._task = self._loop.create_task(self._run())
        await asyncio.shield(self._taken)

    def read_nowait(self) -> np.ndarray | None:
        """The next samples; None after the last ones. Raises queue.Empty, and what went wrong."""
        if self._chunks:
            samples = self._chunks.popleft()
            self._num_unread -= len(samples)
            return samples
        if not self.done:
            raise Empty
        if self._error is not None and not self.cancelled:
            raise self._error
        return None

    def cancel(self) -> None:
        """Stop generating. Does nothing to a job that is done. From any thread."""
        if not self.done and not self.cancelled:
            self.cancelled = True
            with suppress(RuntimeError):            # the loop has been closed
                self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._response is not None:
            self._response.cancel()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._read_from_engines()
        except asyncio.CancelledError:
            self.cancelled = True
        except Exception as error:
            if not self.cancelled:      # else it is Serve's word for that
                self._error = error
        self.done = True
        if not self._taken.done():
            if self._error is not None:
                self._taken.set_exception(self._error)
            else:
                self._taken.set_result(None)
        self._on_change()

    async def _read_from_engines(self) -> None:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                with own_errors():
                    self._response = self._service.speak(self._request, self._stream_chunks,
                                                         self._request_id)
                    async for progress in self._response:
                        self._note(progress)
                return
            except ServiceClosed as error:
                retry = error.code == "engine_failed" and not self._has_samples
                if not retry or self.cancelled or attempt == MAX_ATTEMPTS:
                    raise

    def _note(self, progress: Progress) -> None:
        self.usage = progress.usage
        if progress.started and self.start_time is None:
            self.start_time = time.perf_counter()
        if not self._taken.done():
            self._taken.set_result(None)
        if progress.samples is not None:
            self._has_samples = True
            self._chunks.append(progress.samples)
            self._num_unread += len(progress.samples)
            self._on_change()
            self._hold_back()

    def _hold_back(self) -> None:
        """Let the engine wait if the reader has more than HOLD_SECONDS to read, until about
        MAX_UNREAD_SECONDS are left if it reads as fast as speech is played."""
        unread = self._num_unread / self._service.sample_rate
        if unread > HOLD_SECONDS and (self._holding is None or self._holding.done()):
            hold = self._service.hold(self._request_id, unread - MAX_UNREAD_SECONDS)
            self._holding = self._loop.create_task(hold)


@contextmanager
def own_errors() -> Iterator[None]:
    """Errors of Ray as our own."""
    try:
        yield
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, SparkTTSError):
            raise cause from None
        raise EngineError(f"{type(cause).__name__}: {one_line(cause)}") from None
    except BackPressureError:
        raise _busy() from None
    except (RayError, RayServeException) as error:
        raise ServiceClosed("The engine that spoke has failed.", "Send the request again.",
                            code="engine_failed") from error


def _busy() -> InputError:
    return InputError("The server is busy.", "Try again in a few seconds.", code="busy")
