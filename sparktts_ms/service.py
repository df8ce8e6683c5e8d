"""Continuous batching for any number of threads: one thread of its own drives the engine.

    service = Service(SparkTTS.from_pretrained(...))
    job = service.submit("Hello.", voice=service.encode_voice("prompt.wav"), chunks=Chunks())
    for samples in job: ...

Up to 16 sequences share each decode step, and join and leave between steps. Between two steps at
most one window of samples is decoded, for the job whose playback runs out of samples first, so that
a long text does not block short ones; until a short text has its first sound, long ones pause.
Recordings are read, and texts prepared, in the threads of their callers, but for the later parts of
a text: these are prepared in a thread of their own when they are needed. A slow reader of a job
does not delay the others, and where `max_unread_seconds` is given its job waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

from sparktts_ms.audio.recording import as_recording
from sparktts_ms.bicodec.chunking import WINDOW_SIZES, CompiledLengths
from sparktts_ms.config import BiCodecConfig
from sparktts_ms.errors import ServiceClosed
from sparktts_ms.generation.attributes import VoiceDescription
from sparktts_ms.generation.long_form import LongFormGeneration
from sparktts_ms.generation.playback import Playback
from sparktts_ms.generation.request import Chunks, SpeechRequest, as_request
from sparktts_ms.generation.vocabulary import TOKENS_PER_SECOND
from sparktts_ms.generation.voice_generation import VoiceGeneration
from sparktts_ms.pipeline import SparkTTS
from sparktts_ms.voice import Speech, Voice

logger = logging.getLogger("sparktts_ms")

# Frames of 20 ms for which the decoder is compiled, and what fits into them while several jobs run:
# windows of samples, the first chunks of streams (with FIRST_LOOKAHEAD), and their other chunks
# (with context on both sides). A large chunk costs less than several small ones.
COMPILED_LENGTHS = CompiledLengths(front_end=(16, 40, 64, 96, 128, 184),
                                   generator=(16, 28, 40, 56, 84, 120))
SHARED_WINDOW_SIZES = (84,)
FIRST_CHUNKS = (8, 20, 32, 48, 76)
CHUNKS = (20, 36, 64, 100)
LEAST_CHUNK = 64                # unless playback is about to run out of samples
MAX_FIRST_SECONDS = 2.0         # until the ids of a first chunk are there
URGENT_SECONDS = 0.5            # before it does
CALL_FRAMES = 80                # frames that decoding any chunk costs in addition to its own
SMOOTHING = 0.1                 # weight of a new measurement
FRAME_SECONDS = 1 / TOKENS_PER_SECOND


@dataclass
class Load:
    """What the jobs ask of the machine, measured while they run.

    jobs: how many there are. step_seconds: of a step of the engine. frame_seconds: of decoding one
    more frame in a chunk.
    """

    jobs: int = 0
    step_seconds: float = 0.0
    frame_seconds: float = 0.0

    @property
    def sustained_chunk(self) -> int:
        """The smallest of CHUNKS with which all jobs can be served as fast as they are played; if
        none is large enough, the largest but one."""
        spare = FRAME_SECONDS - self.step_seconds - self.jobs * self.frame_seconds
        overhead = self.jobs * CALL_FRAMES * self.frame_seconds
        sizes = [size for size in CHUNKS[:-1] if overhead <= size * spare]
        return sizes[0] if sizes else CHUNKS[-2]

    def seconds_per_token(self, size: int) -> float:
        """From one token of each job to the next, while all are decoded in chunks of `size`."""
        decoding = self.jobs * self.frame_seconds * (CALL_FRAMES + size) / size
        return self.step_seconds + decoding

    def first_chunk(self, chunks: Chunks) -> int:
        """Frames of a stream's first chunk: as many as are played until the next one is there, if
        they do not take too long themselves."""
        lookahead = int(chunks.first_lookahead or 0)
        seconds = self.seconds_per_token(self.sustained_chunk)
        missing = chunks.lookahead - lookahead + self.sustained_chunk
        # a little more, so that 76 do for 75, not 48
        frames = min(1.1 * missing * seconds / FRAME_SECONDS,
                     MAX_FIRST_SECONDS / max(seconds, 1e-6) - lookahead)
        return max(chunks.first, *(size for size in FIRST_CHUNKS if size <= frames), 0)

    def note_step(self, seconds: float) -> None:
        self.step_seconds += SMOOTHING * (seconds - self.step_seconds)

    def note_chunk(self, seconds: float, frames: float) -> None:
        """So long took the decoding of so many frames."""
        self.frame_seconds += SMOOTHING * (seconds / (CALL_FRAMES + frames) - self.frame_seconds)


class Job:
    """A submitted request, for any thread. Iterate over its chunks, or wait for `result`.

    chunks: samples [N] float32 of each chunk so far; the list only grows, or with `keep` False it
    stays empty. max_unread_seconds: while its reader has more than that to read, nothing is decoded
    and no segment is started. on_change: called on the service's thread when there is a chunk, and
    when the job has ended; it must return at once. wake: lets the service look at its jobs.
    start_time: by time.perf_counter, when the engine began with it; None before.
    """

    def __init__(self, generation: LongFormGeneration, wake: Callable[[], None], *,
                 keep: bool = True, max_unread_seconds: float | None = None,
                 on_change: Callable[[], None] | None = None):
        self.chunks: list[np.ndarray] = []
        self.start_time: float | None = None
        self.playback = Playback(generation.generator.sample_rate, generation.chunks is not None)
        self._generation = generation
        self._wake = wake
        self._keep = keep
        self._max_unread = max_unread_seconds
        self._on_change = on_change or (lambda: None)
        self._cancelled = threading.Event()
        self._queue: SimpleQueue[np.ndarray | None] = SimpleQueue()
        self._speech: Future[Speech] = Future()
        self._seconds_read = 0.0
        self._waits_for_reader = False

    def __iter__(self) -> Iterator[np.ndarray]:
        """Chunks as they are made, for one reader. Raises what went wrong; a cancelled job ends
        without an error. Leaving early cancels the job."""
        try:
            while (samples := self._queue.get()) is not None:
                self._note_read(samples)
                yield samples
            if not self._speech.cancelled():
                self._speech.result()
        finally:
            self.cancel()

    def read_nowait(self) -> np.ndarray | None:
        """The next chunk, for one reader that does not wait; None after the last one. Raises what
        went wrong, and queue.Empty if the next chunk is not there yet."""
        samples = self._queue.get_nowait()
        if samples is not None:
            self._note_read(samples)
            return samples
        self._queue.put(None)                   # for those that ask again
        if not self._speech.cancelled():
            self._speech.result()
        return None

    def _note_read(self, samples: np.ndarray) -> None:
        self._seconds_read += len(samples) / self.playback.sample_rate
        if self._waits_for_reader and not self.is_unread:
            self._wake()

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
        """Seconds of samples so far."""
        return self.playback.seconds

    @property
    def is_unread(self) -> bool:
        """Whether its reader has more to read than `max_unread_seconds`."""
        return (self._max_unread is not None
                and self.playback.seconds - self._seconds_read > self._max_unread)

    def result(self, timeout: float | None = None) -> Speech:
        """Wait for the whole speech; without samples if chunks are not kept. Raises what went
        wrong, concurrent.futures.CancelledError, or TimeoutError after `timeout` seconds."""
        return self._speech.result(timeout)

    def cancel(self) -> None:
        """Stop generating, after the step that runs; other jobs are not affected. Does nothing to
        a job that is done."""
        self._cancelled.set()
        if self._waits_for_reader:
            self._wake()

    # Called by the service only:

    def poll(self, load: Load) -> bool:
        """Decode the next chunk or window if there is one; returns whether there was."""
        self._set_pace(load)
        try:
            samples = self._generation.poll()
            if samples is not None:
                if self._keep:
                    self.chunks.append(samples)
                self.playback.add(samples)
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

    def _set_pace(self, load: Load) -> None:
        """Alone, the job has chunks as it asked for. Several have larger ones, because these cost
        less, and begin with one that is played until enough ids for the next are there."""
        shared = load.jobs > 1
        self._generation.window_sizes = SHARED_WINDOW_SIZES if shared else WINDOW_SIZES
        chunks = self._generation.chunks
        if chunks is None:
            return
        pace = self._generation.pace
        sizes = tuple(size for size in CHUNKS if size <= chunks.maximum)
        pace.sizes = sizes if sizes and shared else None
        urgent = self.playback.end - time.perf_counter() < URGENT_SECONDS
        pace.least = load.sustained_chunk if urgent else LEAST_CHUNK
        pace.first = load.first_chunk(chunks)

    def waits_for_reader(self) -> bool:
        """Whether nothing is to be done until its reader has read on. Then the reader wakes the
        service; the order of the two lines sees to it that none of them misses the other."""
        self._waits_for_reader = True
        self._waits_for_reader = self.is_unread
        return self._waits_for_reader

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
        self.playback = Playback(1, streamed=False)
        self.voices: Future[list[Voice]] = Future()
        self._generation = generation

    @property
    def done(self) -> bool:
        return self.voices.done()

    def waits_for_reader(self) -> bool:
        return False

    def note_start(self) -> None:
        """Nobody asks when voices are begun."""

    def poll(self, load: Load) -> bool:
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
    """Thread-safe. `jobs` are those that are not done."""

    def __init__(self, tts: SparkTTS):
        self.tts = tts.load()
        self.sample_rate = tts.sample_rate
        self.jobs: deque[Job | VoiceJob] = deque()
        self._load = Load()
        self._scheduled = False         # whether a step is queued; for the service's thread only
        self._begin_time: float | None = None   # of the step or call that runs, by time.monotonic
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spark-tts")
        self._text_executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="text")

    @property
    def num_slots(self) -> int:
        """Sequences that can share a decode step."""
        return self.tts.llm.num_slots

    @property
    def num_slots_used(self) -> int:
        """Sequences that share the decode steps now."""
        return len(self.tts.engine.active)

    @property
    def codec_config(self) -> BiCodecConfig:
        """What ids the codec has."""
        return self.tts.config.bicodec

    @property
    def languages(self) -> tuple[str, ...]:
        """That the model speaks, such as ("zh", "en")."""
        return self.tts.config.languages or ("zh", "en")

    @property
    def stuck_seconds(self) -> float:
        """Since when the step or call that runs has been running, in seconds; 0 if none does. A
        device that does not answer lets it grow."""
        begin = self._begin_time
        return 0.0 if begin is None else time.monotonic() - begin

    def warm_up(self) -> None:
        """Compile now what the first requests would wait for: decode steps of all batch sizes, and
        decoders of chunks. Jobs go on in between."""
        graphs = self.tts.compile(COMPILED_LENGTHS)
        while self._call(next, graphs, None):
            pass

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
               chunks: Chunks | None = None, keep: bool = True,
               max_unread_seconds: float | None = None,
               on_change: Callable[[], None] | None = None, **options: Any) -> Job:
        """Start a request (see `SparkTTS.synthesize`). With `chunks` its samples come while ids are
        generated; without, a segment is decoded when its ids are complete.

        keep: False drops each chunk when it has been read. max_unread_seconds: the job waits while
        its reader has more than that unread; it goes on only if somebody reads. on_change: see Job.
        Raises InputError, VoiceError, ServiceClosed.
        """
        request = as_request(text, voice, options)
        segments = self.tts.prepare(request, self._text_executor)

        def admit() -> Job:
            generation = self.tts.start(request, chunks, segments)
            return self._add(Job(generation, self._wake, keep=keep, on_change=on_change,
                                 max_unread_seconds=max_unread_seconds))

        return self._call(admit)

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
            future = self._executor.submit(self._timed, function, *arguments)
        except RuntimeError:                    # the executor has been shut down
            raise ServiceClosed("The service has been closed.") from None
        try:
            return future.result()
        except CancelledError:                  # it was shut down meanwhile
            raise ServiceClosed("The service has been closed.") from None
        finally:
            del future          # else its exception, and what that holds, would wait for the gc

    def _timed(self, function: Callable, *arguments: Any) -> Any:
        """Run a function on the service's thread, and note since when."""
        self._begin_time = time.monotonic()
        try:
            return function(*arguments)
        finally:
            self._begin_time = None

    def _admit_voices(self, descriptions: list[VoiceDescription]) -> VoiceJob:
        return self._add(VoiceJob(VoiceGeneration(descriptions, self.tts.generator)))

    def _add(self, job: AnyJob) -> AnyJob:
        self.jobs.append(job)
        self._schedule_step()
        return job

    def _wake(self) -> None:
        """Take a step, if none is queued: a job that waited can go on. From any thread."""
        with suppress(RuntimeError):            # the executor has been shut down
            self._executor.submit(self._schedule_step)

    def _schedule_step(self) -> None:
        """Queue a step behind the calls that wait already."""
        if self._scheduled or not self.jobs:
            return
        with suppress(RuntimeError):            # the executor has been shut down
            self._executor.submit(self._timed, self._step)
            self._scheduled = True

    def _step(self) -> None:
        self._scheduled = False
        self._load.jobs = len(self.jobs)
        began = time.perf_counter()
        running = False
        try:
            running = self.tts.engine.step()
        except Exception as error:              # fails the jobs, not the service
            logger.exception("The engine failed; %d jobs are lost.", len(self.jobs))
            while self.jobs:
                self.jobs.popleft().end(error)
        self._load.note_step(time.perf_counter() - began)
        for job in self.jobs:
            job.note_start()
        self._end_cancelled_jobs()
        self._poll_jobs()
        if running or not all(job.waits_for_reader() for job in self.jobs):
            self._schedule_step()

    def _end_cancelled_jobs(self) -> None:
        for job in [job for job in self.jobs if job.cancelled]:
            self.jobs.remove(job)
            job.end()

    def _poll_jobs(self) -> None:
        """Decode one chunk or window: of the job whose playback runs out of samples first."""
        paused = self.tts.engine.paused
        for job in sorted(self.jobs, key=lambda job: job.playback.end):
            if (paused and job.is_long) or job.waits_for_reader():
                continue
            began = time.perf_counter()
            seconds = job.playback.seconds
            decoded = job.poll(self._load)
            if job.done:
                self.jobs.remove(job)
            if decoded:
                frames = TOKENS_PER_SECOND * (job.playback.seconds - seconds)
                self._load.note_chunk(time.perf_counter() - began, frames)
                return
