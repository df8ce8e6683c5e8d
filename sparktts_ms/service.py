"""One model for many callers at once: a thread of its own drives the engine, and everybody's speech is made in company.

    service = Service(SparkTTS.from_pretrained(...))
    job = service.submit("Hello.", voice=service.encode_voice("prompt.wav"), chunks=Chunks())
    for samples in job: ...

Between two steps of the engine at most one window of samples is decoded, for whoever has waited longest, so nobody is held up
by another's long text. A caller that is slow to fetch its samples, or goes away, does not matter to the others.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np

from sparktts_ms.errors import ServiceClosed
from sparktts_ms.generation.long_form import LongFormRequest
from sparktts_ms.generation.request import Chunks, SpeechRequest, as_request
from sparktts_ms.pipeline import SparkTTS
from sparktts_ms.voice import Speech, Voice

logger = logging.getLogger("sparktts_ms")

SMALL_WINDOWS = (64,)       # frames decoded at a time while others speak


class Job:
    """A submitted request, for any thread. Iterate over its chunks of samples, or wait for `result`.

    chunks: samples [N] float32 of each chunk so far; the list only grows.
    """

    def __init__(self, generation: LongFormRequest, chunking: Chunks | None):
        self.chunks: list[np.ndarray] = []
        self._generation = generation
        self._chunking = chunking
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
        """Whether the job has ended: finished, failed or cancelled. No chunk follows."""
        return self._speech.done()

    @property
    def seconds(self) -> float:
        """Seconds of samples in `chunks`."""
        return sum(map(len, self.chunks)) / self._generation.sample_rate

    def result(self, timeout: float | None = None) -> Speech:
        """Wait for the whole speech. Raises what went wrong, concurrent.futures.CancelledError,
        or TimeoutError after `timeout` seconds."""
        return self._speech.result(timeout)

    def cancel(self) -> None:
        """Stop generating; other jobs are not affected. Does nothing to a job that is done."""
        self._cancelled.set()

    # The rest is called by the service's thread only.

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def advance(self, alone: bool) -> bool | None:
        """Decode one window if there is one. True: decoded; False: nothing yet; None: done."""
        try:
            finished = self._generation.proceed()
            sizes = {} if alone else {"sizes": SMALL_WINDOWS}
            samples = self._generation.chunk(self._chunking, **sizes)
            if samples is None and finished:
                self._speech.set_result(self._generation.as_speech(self.chunks))
        except Exception as problem:
            self.fail(problem)
            return None
        if samples is not None:
            self.chunks.append(samples)
            self._queue.put(samples)
            return True
        if not finished:
            return False
        self._queue.put(None)
        return None

    def fail(self, problem: BaseException) -> None:
        self._generation.cancel()
        self._speech.set_exception(problem)
        self._queue.put(None)

    def drop(self) -> None:
        self._generation.cancel()
        self._speech.cancel()
        self._queue.put(None)


class Service:
    """Thread-safe. `close` ends it; what is unfinished then is cancelled."""

    def __init__(self, tts: SparkTTS):
        self.tts, self.sample_rate = tts.load(), tts.sample_rate
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future] | None] = queue.SimpleQueue()
        self._jobs: deque[Job] = deque()
        self._closing = threading.Event()
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="spark-tts", daemon=True)
        self._thread.start()

    def encode_voice(self, path, transcript: str | None = None) -> Voice:
        """As `SparkTTS.encode_voice`; the speakers wait meanwhile."""
        return self._call(lambda: self.tts.encode_voice(path, transcript))

    def submit(
        self,
        text: str | SpeechRequest,
        voice: Voice | None = None,
        *,
        chunks: Chunks | None = None,
        **options: Any,
    ) -> Job:
        """Start a request (see `SparkTTS.synthesize`). With `chunks` its samples come while it is
        generated, without they are decoded once all tokens are there. Raises InputError."""
        request = as_request(text, voice, options)
        return self._call(lambda: self._admit(request, chunks))

    def synthesize(self, text: str | SpeechRequest, voice: Voice | None = None, **options: Any) -> Speech:
        """As `SparkTTS.synthesize`, batched with all other requests."""
        return self.submit(text, voice, **options).result()

    @property
    def load(self) -> int:
        """Utterances being made or waiting."""
        return len(self._jobs)

    def close(self) -> None:
        """End the thread; waits for the step it is in."""
        with self._gate:
            self._closing.set()
            self._calls.put(None)
        self._thread.join()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _call(self, action: Callable[[], Any]) -> Any:
        """Run `action` on the service's thread."""
        future: Future = Future()
        with self._gate:
            if self._closing.is_set():
                raise ServiceClosed("The service has been closed.")
            self._calls.put((action, future))
        return future.result()

    def _admit(self, request: SpeechRequest, chunks: Chunks | None) -> Job:
        job = Job(self.tts.start(request), chunks)
        self._jobs.append(job)
        return job

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._answer_calls(wait=not self._jobs)
            try:
                self.tts.engine.step()
            except Exception as problem:        # nobody's fault in particular: all are told, and the service lives on
                logger.exception("The engine failed; %d utterances are lost.", len(self._jobs))
                while self._jobs:
                    self._jobs.popleft().fail(problem)
            self._decode_one()
        while self._jobs:
            self._remove(self._jobs[0])
        self._answer_calls(wait=False)

    def _answer_calls(self, wait: bool) -> None:
        while True:
            try:
                call = self._calls.get(block=wait)
            except queue.Empty:
                return
            if call is None:
                return
            action, future = call
            try:
                if self._closing.is_set():
                    raise ServiceClosed("The service has been closed.")
                future.set_result(action())
            except BaseException as problem:
                future.set_exception(problem)
            wait = wait and not self._jobs

    def _decode_one(self) -> None:
        """One window of samples for the first job that has one to decode; it goes to the end of the queue."""
        for job in list(self._jobs):
            if job.cancelled:
                self._remove(job)
                continue
            did = job.advance(alone=len(self._jobs) == 1)
            if did is None:
                self._jobs.remove(job)
            elif did:
                self._jobs.remove(job)
                self._jobs.append(job)
                return

    def _remove(self, job: Job) -> None:
        self._jobs.remove(job)
        job.drop()
