"""Continuous batching for any number of threads: one thread of its own drives the engine.

    service = Service(SparkTTS.from_pretrained(...))
    job = service.submit("Hello.", voice=service.encode_voice("prompt.wav"), chunks=Chunks())
    for samples in job: ...

Up to 16 sequences share each decode step, and join and leave between steps. Between two steps at
most one window of samples is decoded, for the job that has waited longest, so that a long text
does not block short ones. A slow reader of a job does not delay the others.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from sparktts_ms.bicodec.chunking import WINDOW_SIZES
from sparktts_ms.errors import ServiceClosed
from sparktts_ms.generation.long_form import LongFormGeneration
from sparktts_ms.generation.request import Chunks, SpeechRequest, as_request
from sparktts_ms.pipeline import SparkTTS
from sparktts_ms.voice import Speech, Voice

logger = logging.getLogger("sparktts_ms")

SHARED_WINDOWS = (64,)       # frames decoded at a time while several jobs run


class Job:
    """A submitted request, for any thread. Iterate over its chunks of samples, or wait for `result`.

    chunks: samples [N] float32 of each chunk so far; the list only grows.
    """

    def __init__(self, generation: LongFormGeneration):
        self.chunks: list[np.ndarray] = []
        self._generation = generation
        self._cancelled = threading.Event()
        self._queue: queue.SimpleQueue[np.ndarray | None] = queue.SimpleQueue()
        self._speech: Future[Speech] = Future()

    def __iter__(self) -> Iterator[np.ndarray]:
        """Chunks as they are made, for one reader. Raises what went wrong; a cancelled job just
        ends. Leaving early cancels the job."""
        try:
            while (samples := self._queue.get()) is not None:
                yield samples
            if not self._speech.cancelled():
                self._speech.result()
        finally:
            self.cancel()

    @property
    def done(self) -> bool:
        """Whether the job has finished, failed or been cancelled. No chunk follows."""
        return self._speech.done()

    @property
    def seconds(self) -> float:
        """Seconds of samples in `chunks`."""
        return sum(map(len, self.chunks)) / self._generation.generator.sample_rate

    def result(self, timeout: float | None = None) -> Speech:
        """Wait for the whole speech. Raises what went wrong, concurrent.futures.CancelledError,
        or TimeoutError after `timeout` seconds."""
        return self._speech.result(timeout)

    def cancel(self) -> None:
        """Stop generating; other jobs are not affected. Does nothing to a job that is done."""
        self._cancelled.set()

    # Called by the service's thread only:

    def poll(self, shared: bool) -> bool:
        """Decode the next chunk or window if there is one; returns whether there was.

        shared: whether other jobs run too.
        """
        if self._cancelled.is_set():
            self.drop()
            return False
        self._generation.window_sizes = SHARED_WINDOWS if shared else WINDOW_SIZES
        try:
            samples = self._generation.poll()
            if samples is not None:
                self.chunks.append(samples)
                self._queue.put(samples)
                return True
            if self._generation.done:
                self._speech.set_result(self._generation.speech(self.chunks))
                self._queue.put(None)
        except Exception as error:
            self.fail(error)
        return False

    def fail(self, error: BaseException) -> None:
        self._generation.cancel()
        self._speech.set_exception(error)
        self._queue.put(None)

    def drop(self) -> None:
        self._generation.cancel()
        self._speech.cancel()
        self._queue.put(None)


class Service:
    """Thread-safe. `close` ends it and cancels the jobs that are not done.

    jobs: those that run or wait, for the next window the one that has waited longest first.
    """

    def __init__(self, tts: SparkTTS):
        self.tts = tts.load()
        self.sample_rate = tts.sample_rate
        self.jobs: deque[Job] = deque()
        self._calls: queue.SimpleQueue[tuple[Callable, tuple, Future] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()       # no call is accepted after the last has been answered
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="spark-tts", daemon=True)
        self._thread.start()

    def encode_voice(self, path: str | Path, transcript: str | None = None) -> Voice:
        """See `SparkTTS.encode_voice`; it waits for the step that runs, and the others for it."""
        return self._call(self.tts.encode_voice, path, transcript)

    def submit(
        self,
        text: str | SpeechRequest,
        voice: Voice | None = None,
        *,
        chunks: Chunks | None = None,
        **options: Any,
    ) -> Job:
        """Start a request (see `SparkTTS.synthesize`). With `chunks` its samples come while ids are
        generated; without, a segment is decoded when its ids are complete. Raises InputError,
        VoiceError, ServiceClosed."""
        return self._call(self._admit, as_request(text, voice, options), chunks)

    def synthesize(self, text: str | SpeechRequest, voice: Voice | None = None, **options: Any) -> Speech:
        """See `SparkTTS.synthesize`; batched with all other requests."""
        return self.submit(text, voice, **options).result()

    def close(self) -> None:
        """End the thread after the step that runs."""
        with self._lock:
            self._closing.set()
            self._calls.put(None)
        self._thread.join()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _call(self, function: Callable, *arguments: Any) -> Any:
        """Run a function on the service's thread."""
        future: Future = Future()
        with self._lock:
            if self._closing.is_set():
                raise ServiceClosed("The service has been closed.")
            self._calls.put((function, arguments, future))
        return future.result()

    def _admit(self, request: SpeechRequest, chunks: Chunks | None) -> Job:
        job = Job(self.tts.start(request, chunks))
        self.jobs.append(job)
        return job

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._answer_calls(wait=not self.jobs)
            try:
                self.tts.engine.step()
            except Exception as error:          # fails the jobs, not the service
                logger.exception("The engine failed; %d jobs are lost.", len(self.jobs))
                while self.jobs:
                    self.jobs.popleft().fail(error)
            self._poll_jobs()
        while self.jobs:
            self.jobs.popleft().drop()
        self._answer_calls(wait=False)

    def _answer_calls(self, wait: bool) -> None:
        """Run the functions that are queued; `wait`: for the first one."""
        while True:
            try:
                call = self._calls.get(block=wait and not self.jobs)
            except queue.Empty:
                return
            if call is None:
                return
            function, arguments, future = call
            try:
                if self._closing.is_set():
                    raise ServiceClosed("The service has been closed.")
                future.set_result(function(*arguments))
            except BaseException as error:
                future.set_exception(error)

    def _poll_jobs(self) -> None:
        """Decode one chunk or window, of the first job that has one; it then waits longest."""
        for job in list(self.jobs):
            decoded = job.poll(shared=len(self.jobs) > 1)
            if decoded or job.done:
                self.jobs.remove(job)
            if decoded:
                self.jobs.append(job)
                return
