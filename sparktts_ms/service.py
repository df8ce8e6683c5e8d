"""Continuous batching for any number of threads: one thread of its own drives the engine.

    service = Service(SparkTTS.from_pretrained(...))
    job = service.submit("Hello.", voice=service.encode_voice("prompt.wav"), chunks=Chunks())
    for samples in job: ...

Up to 16 sequences share each decode step, and join and leave between steps. Between two steps at
most one window of samples is decoded, for the job that has waited longest, so that a long text
does not block short ones; until a short text has its first sound, long ones pause. Recordings are
read, and texts prepared, in the threads of their callers, but for the later parts of a text: these
are prepared in a thread of their own when they are needed. A slow reader of a job does not delay
the others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

from sparktts_ms.audio.recording import as_recording
from sparktts_ms.bicodec.chunking import WINDOW_SIZES
from sparktts_ms.errors import ServiceClosed
from sparktts_ms.generation.attributes import VoiceDescription
from sparktts_ms.generation.long_form import LongFormGeneration
from sparktts_ms.generation.request import Chunks, SpeechRequest, as_request
from sparktts_ms.generation.segments import Segments
from sparktts_ms.generation.voice_generation import VoiceGeneration
from sparktts_ms.pipeline import SparkTTS
from sparktts_ms.voice import Speech, Voice

logger = logging.getLogger("sparktts_ms")

SHARED_WINDOW_SIZES = (64,)     # frames decoded at a time while several jobs run


class Job:
    """A submitted request, for any thread. Iterate over its chunks, or wait for `result`.

    chunks: samples [N] float32 of each chunk so far; the list only grows. on_change: called on the
    service's thread when there is a chunk, and when the job has ended; it must return at once.
    start_time: by time.perf_counter, when the engine began with it; None before.
    """

    def __init__(self, generation: LongFormGeneration,
                 on_change: Callable[[], None] | None = None):
        self.chunks: list[np.ndarray] = []
        self.start_time: float | None = None
        self._generation = generation
        self._on_change = on_change or (lambda: None)
        self._cancelled = threading.Event()
        self._queue: SimpleQueue[np.ndarray | None] = SimpleQueue()
        self._speech: Future[Speech] = Future()

    def __iter__(self) -> Iterator[np.ndarray]:
        """Chunks as they are made, for one reader. Raises what went wrong; a cancelled job ends
        without an error. Leaving early cancels the job."""
        try:
            while (samples := self._queue.get()) is not None:
                yield samples
            if not self._speech.cancelled():
                self._speech.result()
        finally:
            self.cancel()

    def read_nowait(self) -> np.ndarray | None:
        """The next chunk, for one reader that does not wait; None after the last one. Raises what
        went wrong, and queue.Empty if the next chunk is not there yet."""
        samples = self._queue.get_nowait()
        if samples is None:
            self._queue.put(None)               # for those that ask again
            if not self._speech.cancelled():
                self._speech.result()
        return samples

    @property
    def usage(self) -> tuple[int, int]:
        """Tokens so far: of its prompts, and generated."""
        return self._generation.usage

    @property
    def done(self) -> bool:
        """Whether the job has finished, failed or been cancelled. No chunk follows."""
        return self._speech.done()

    @property
    def cancelled(self) -> bool:
        """Whether the job has been cancelled; it may not be `done` yet."""
        return self._cancelled.is_set()

    @property
    def is_long(self) -> bool:
        """Whether its text is so long that it gives way to short ones."""
        return self._generation.is_long

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

    # Called by the service only:

    def poll(self, shared: bool) -> bool:
        """Decode the next chunk or window if there is one; returns whether there was."""
        if self._cancelled.is_set():
            self.end()
            return False
        self._generation.window_sizes = SHARED_WINDOW_SIZES if shared else WINDOW_SIZES
        try:
            samples = self._generation.poll()
            if samples is not None:
                self.chunks.append(samples)
                self._queue.put(samples)
                self._on_change()
                return True
            if self._generation.done:
                self._speech.set_result(self._generation.speech(self.chunks))
                self._queue.put(None)
                self._on_change()
        except Exception as error:
            self.end(error)
        return False

    def end(self, error: BaseException | None = None) -> None:
        """End the job before it is done: cancelled, or failed with `error`."""
        self._generation.cancel()
        if error is None:
            self._speech.cancel()
        else:
            self._speech.set_exception(error)
        self._queue.put(None)
        self._on_change()

    def note_start(self) -> None:
        """Keep the time if the engine has begun."""
        if self.start_time is None and self._generation.started:
            self.start_time = time.perf_counter()


class VoiceJob:
    """Voices that are generated beside the jobs; the service polls and ends it like a Job."""

    is_long = False
    cancelled = False

    def __init__(self, generation: VoiceGeneration):
        self.voices: Future[list[Voice]] = Future()
        self._generation = generation

    @property
    def done(self) -> bool:
        return self.voices.done()

    def note_start(self) -> None:
        """Nobody asks when voices are begun."""

    def poll(self, shared: bool) -> bool:
        """Hand over the voices if they are complete. Nothing is decoded."""
        try:
            if self._generation.done:
                self.voices.set_result(self._generation.voices)
        except Exception as error:
            self.end(error)
        return False

    def end(self, error: BaseException | None = None) -> None:
        self._generation.cancel()
        self.voices.set_exception(error or ServiceClosed("The service has been closed."))


AnyJob = TypeVar("AnyJob", Job, VoiceJob)


class Service:
    """Thread-safe. `jobs` are those that are not done, in the order of their next windows."""

    def __init__(self, tts: SparkTTS):
        self.tts = tts.load()
        self.sample_rate = tts.sample_rate
        self.jobs: deque[Job | VoiceJob] = deque()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spark-tts")
        self._text_executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="text")

    def encode_voice(self, path: str | Path, transcript: str | None = None) -> Voice:
        """See `SparkTTS.encode_voice`. The jobs wait meanwhile, but not while it is read."""
        recording = self.tts.voice_encoder.read(path, transcript)
        return self._call(self.tts.voice_encoder.encode_recording, recording)

    def generate_voices(self, descriptions: Iterable[VoiceDescription]) -> list[Voice]:
        """See `SparkTTS.generate_voices`. The voices share the steps of the jobs. Raises
        ServiceClosed."""
        return self._call(self._admit_voices, list(descriptions)).voices.result()

    def tokenize(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Global ids [32] and semantic ids [T] of samples [N] at `sample_rate`, all of them. The
        jobs wait meanwhile. Raises AudioError."""
        recording = as_recording(samples, self.sample_rate, "The recording")
        return self._call(self.tts.voice_encoder.tokenize, recording)

    def take_turn(self) -> None:
        """Return when the steps and calls that were there before have been done."""
        self._call(bool)

    def decode(self, global_ids: np.ndarray, semantic_ids: np.ndarray) -> Iterator[np.ndarray]:
        """Samples of a voice [32] and semantic ids [T], which the codec must have: 320 an id, a
        window at a time, for which the jobs wait."""
        codec = self.tts.codec
        hidden = self._call(codec.condition_frames, global_ids, semantic_ids)
        windows = codec.vocode_windows(hidden, SHARED_WINDOW_SIZES)
        while (samples := self._call(next, windows, None)) is not None:
            yield samples

    def submit(self, text: str | SpeechRequest, voice: Voice | None = None, *,
               chunks: Chunks | None = None, on_change: Callable[[], None] | None = None,
               **options: Any) -> Job:
        """Start a request (see `SparkTTS.synthesize`). With `chunks` its samples come while ids are
        generated; without, a segment is decoded when its ids are complete. on_change: see Job.
        Raises InputError, VoiceError, ServiceClosed."""
        request = as_request(text, voice, options)
        segments = self.tts.prepare(request, self._text_executor)
        return self._call(self._admit, request, chunks, segments, on_change)

    def close(self) -> None:
        """End the thread after the step that runs, and cancel all jobs."""
        self._executor.shutdown(cancel_futures=True)
        self._text_executor.shutdown(cancel_futures=True)
        while self.jobs:
            self.jobs.popleft().end()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _call(self, function: Callable, *arguments: Any) -> Any:
        """Run a function on the service's thread, between two steps."""
        try:
            future = self._executor.submit(function, *arguments)
        except RuntimeError:                    # the executor has been shut down
            raise ServiceClosed("The service has been closed.") from None
        try:
            return future.result()
        except CancelledError:                  # it was shut down meanwhile
            raise ServiceClosed("The service has been closed.") from None

    def _admit(self, request: SpeechRequest, chunks: Chunks | None, segments: Segments,
               on_change: Callable[[], None] | None) -> Job:
        return self._add(Job(self.tts.start(request, chunks, segments), on_change))

    def _admit_voices(self, descriptions: list[VoiceDescription]) -> VoiceJob:
        return self._add(VoiceJob(VoiceGeneration(descriptions, self.tts.generator)))

    def _add(self, job: AnyJob) -> AnyJob:
        self.jobs.append(job)
        if len(self.jobs) == 1:
            self._schedule_step()
        return job

    def _schedule_step(self) -> None:
        """Queue a step behind the calls that wait already."""
        with suppress(RuntimeError):            # the executor has been shut down
            self._executor.submit(self._step)

    def _step(self) -> None:
        try:
            self.tts.engine.step()
        except Exception as error:              # fails the jobs, not the service
            logger.exception("The engine failed; %d jobs are lost.", len(self.jobs))
            while self.jobs:
                self.jobs.popleft().end(error)
        for job in self.jobs:
            job.note_start()
        self._poll_jobs()
        if self.jobs:
            self._schedule_step()

    def _poll_jobs(self) -> None:
        """Decode one chunk or window, of the first job that has one; it then waits longest."""
        paused = self.tts.engine.paused
        for job in list(self.jobs):
            if paused and job.is_long and not job.cancelled:
                continue
            decoded = job.poll(shared=len(self.jobs) > 1)
            if decoded or job.done:
                self.jobs.remove(job)
            if decoded:
                self.jobs.append(job)
                return
