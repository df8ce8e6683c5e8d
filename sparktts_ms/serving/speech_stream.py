"""The samples of one request, while they are made."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from queue import Empty
from typing import TYPE_CHECKING, Any

import numpy as np

from sparktts_ms.errors import ServiceClosed
from sparktts_ms.service import Job
from sparktts_ms.serving.monitoring.tracing import current_request_id

if TYPE_CHECKING:
    from sparktts_ms.serving.async_service import AsyncService

@dataclass(frozen=True)
class Usage:
    """Tokens of a request so far."""

    input_tokens: int
    output_tokens: int


class SpeechStream:
    """The samples of one request: `async with` it, and iterate. Leaving cancels the request.

    request_id: of the HTTP request it belongs to, or its own. seconds: of samples read so far, at
    sample_rate Hz.
    """

    def __init__(self, owner: AsyncService, sample_rate: int, api: str, start_time: float):
        self.sample_rate = sample_rate
        self.request_id = current_request_id() or f"req-{secrets.token_hex(8)}"
        self.seconds = 0.0
        self.job: Job | None = None
        self._owner = owner
        self._api = api
        self._submit_time = start_time
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._stopped = False
        self._succeeded = False
        self._ended = False

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        return Usage(*self.job.usage) if self.job is not None else Usage(0, 0)

    @property
    def queue_seconds(self) -> float:
        """From `submit` until the engine began with it, once it has."""
        if self.job is None or self.job.start_time is None:
            return 0.0
        return self.job.start_time - self._submit_time

    def cancel(self) -> None:
        """Stop generating. Does nothing to a stream that has ended."""
        if self.job is not None:
            self.job.cancel()

    def stop(self) -> None:
        """Cancel for the server's sake: the reader gets ServiceClosed. From any thread."""
        self._stopped = True
        self.cancel()
        self.wake()

    def wake(self) -> None:
        """Let the reader look again. From any thread."""
        with contextlib.suppress(RuntimeError):         # the loop has been closed
            self._loop.call_soon_threadsafe(self._changed.set)

    async def __aenter__(self) -> SpeechStream:
        return self

    async def __aexit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        self.end(error)

    async def __aiter__(self) -> AsyncIterator[np.ndarray]:
        """Samples [N] float32 in [-1, 1]. Raises what went wrong, and ServiceClosed."""
        assert self.job is not None
        while True:
            self._changed.clear()
            if self._stopped:
                raise ServiceClosed("The server is shutting down.", "Try again.", code="draining")
            try:
                samples = self.job.read_nowait()
            except Empty:
                await self._changed.wait()
                continue
            if samples is None:
                break
            if not self.seconds:
                self._observe(self._owner.metrics.first_audio)
            self.seconds += len(samples) / self.sample_rate
            yield samples
        if not self.job.cancelled:
            self._succeed()

    def end(self, error: BaseException | None = None) -> None:
        """Cancel what is not done, and count what became of the request."""
        self.cancel()
        if self._ended:
            return
        self._ended = True
        owner, metrics = self._owner, self._owner.metrics
        owner.streams.discard(self)
        owner.num_requests -= 1
        if self.job is not None:
            usage = self.usage
            metrics.prompt_tokens.labels(self._api).inc(usage.input_tokens)
            metrics.generation_tokens.labels(self._api).inc(usage.output_tokens)
            metrics.audio_seconds.labels(self._api).inc(self.seconds)
        if self._succeeded:
            return
        if isinstance(error, Exception):
            code = getattr(error, "code", None) or type(error).__name__
            metrics.failure.labels(self._api, code).inc()
        else:
            metrics.cancelled.labels(self._api).inc()

    def _succeed(self) -> None:
        """All samples have been read."""
        assert self.job is not None
        metrics = self._owner.metrics
        self._observe(metrics.latency)
        if self.job.start_time is not None:
            waited = self.job.start_time - self._submit_time
            metrics.queue_time.labels(self._api).observe(waited)
            if self.seconds:
                worked = time.perf_counter() - self.job.start_time
                metrics.rtf.labels(self._api).observe(worked / self.seconds)
        metrics.success.labels(self._api).inc()
        self._succeeded = True

    def _observe(self, histogram: Any) -> None:
        histogram.labels(self._api).observe(time.perf_counter() - self._submit_time)
