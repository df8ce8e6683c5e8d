"""One engine in simulated time. Its rules are those of `sparktts_ms.service` and `qwen2.engine`;
sizes and limits are imported from there.

One thread takes steps. A step gives free slots to waiting sequences, prefills at most one chunk of
ids, and decodes one id of each sequence that is ready; then at most one chunk of samples is
decoded, for the job whose playback ends first. New requests and recordings to encode wait for the
end of the step.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Generator
from operator import attrgetter
from typing import Any

import simpy

from sparktts_ms.bicodec.chunking import WINDOW_SIZES, cover
from sparktts_ms.bicodec.codec import SPEECH_FRAME_BUCKETS
from sparktts_ms.generation.long_form import (
    FIRST_SYLLABLES,
    MAX_PARALLEL_ALONE,
    MAX_PARALLEL_SEGMENTS,
)
from sparktts_ms.generation.request import Chunks
from sparktts_ms.generation.vocabulary import TOKENS_PER_SECOND
from sparktts_ms.generation.voice_encoder import CACHE_SIZE
from sparktts_ms.ops.padding import padded_length
from sparktts_ms.qwen2.engine import FOREGROUND_SLOTS, MAX_PAUSE, MIN_PREFILL, YOUNG_STEPS
from sparktts_ms.service import CHUNKS, COMPILED_LENGTHS, LEAST_CHUNK, URGENT_SECONDS, Load
from tools.capacity.costs import Costs
from tools.capacity.workload import Arrival

REFERENCE_FRAMES = 300              # of a recording of 6 s, in the prompt with its transcript
REFERENCE_WORDS = 6.0               # seconds of its transcript
FIRST_SECONDS = FIRST_SYLLABLES / 5         # at five syllables a second
DECODED_AT_ONCE = Chunks()
by_playback = attrgetter("playback_end")


class Sequence:
    """A segment in the engine. uncached: ids of its prompt that are not in the KV cache yet;
    context: those that are. frames: of its speech; known: those generated so far."""

    __slots__ = ("background", "context", "finished", "frames", "known", "steps", "uncached")

    def __init__(self, prompt: int, frames: int, background: bool):
        self.uncached = prompt
        self.context = 0
        self.frames = frames
        self.known = 0
        self.steps = 0
        self.background = background
        self.finished = False


class Job:
    """A request in an engine. on_end: called when all of its samples have come. reference: its
    prompt holds a recording with its transcript. hit: whether its recording was known.
    chunk_times: when each chunk was there, with its seconds of samples."""

    __slots__ = ("arrival", "chunk_times", "decoded", "done", "emitted", "end", "hit", "is_long",
                 "lookahead", "on_end", "playback_end", "reference", "scheduled", "sequences")

    def __init__(self, arrival: Arrival, on_end: Callable[[Job], None], reference: bool = False):
        self.arrival = arrival
        self.on_end = on_end
        self.reference = reference
        self.is_long = len(arrival.segments) > MAX_PARALLEL_SEGMENTS
        self.hit: bool | None = None
        self.sequences: list[Sequence] = []
        self.emitted = 0
        self.decoded = 0                        # frames of the segment that is decoded
        self.scheduled = DECODED_AT_ONCE.first
        self.lookahead = int(DECODED_AT_ONCE.first_lookahead or 0)
        self.playback_end = 0.0
        self.chunk_times: list[tuple[float, float]] = []
        self.done = False
        self.end = 0.0


class Device:
    """An engine. `speak` gives it a request; `on_end` of the job is called when it has ended.

    ongoing: calls that it works on. busy_seconds: in which its thread worked; slot_seconds: times
    the slots that were used.
    """

    def __init__(self, env: simpy.Environment, costs: Costs, cache_size: int = CACHE_SIZE,
                 transcripts: bool = True):
        self.env = env
        self.costs = costs
        self.cache_size = cache_size
        self.transcripts = transcripts
        self.cache: OrderedDict[int, None] = OrderedDict()      # voices that are encoded
        self._encoding: dict[int, simpy.Event] = {}
        self.jobs: list[Job] = []
        self.ongoing = 0
        self.busy_seconds = 0.0
        self.slot_seconds = 0.0
        self._calls: list[tuple[float, Callable[[], None]]] = []
        self._waiting: deque[Sequence] = deque()
        self._active: list[Sequence] = []
        self._pause = 0
        self._paused = False
        self._load = Load()
        self._readers = simpy.Resource(env, 4)  # async_service.MAX_READERS
        self._wake: simpy.Event | None = None
        self._chunk_seconds: dict[tuple[int, int, int], float] = {}
        env.process(self._run())

    # Requests

    def encode(self, voice: int, done: Callable[[bool], None]) -> None:
        """Encode a recording, unless it is known; `done` is told whether it was."""
        self.ongoing += 1
        self.env.process(self._encode(voice, done))

    def _encode(self, voice: int, done: Callable[[bool], None]
                ) -> Generator[simpy.Event, Any, None]:
        known = True
        if voice in self._encoding:
            yield self._encoding[voice]
        elif voice not in self.cache:
            known = False
            encoded = self._encoding[voice] = self.env.event()
            costs = self.costs
            with self._readers.request() as reader:
                yield reader
                yield self.env.timeout(costs.read_recording)
                seconds = costs.encode if self.transcripts else costs.encode_speaker
                self._call(seconds, encoded.succeed)
                yield encoded
            del self._encoding[voice]
            self.cache[voice] = None
            if len(self.cache) > self.cache_size:
                self.cache.popitem(last=False)
        if voice in self.cache:
            self.cache.move_to_end(voice)
        self.ongoing -= 1
        done(known)

    def speak(self, job: Job) -> None:
        """Take a request now; its text is prepared first."""
        self.ongoing += 1
        self.env.process(self._admit(job))

    def _admit(self, job: Job) -> Generator[simpy.Event, Any, None]:
        yield self.env.timeout(self.costs.prepare(job.arrival.characters))
        job.playback_end = self.env.now
        self._call(0.0, lambda: self._add(job))

    def _call(self, seconds: float, function: Callable[[], None]) -> None:
        """Have the engine's thread do something that takes so long, between two steps."""
        self._calls.append((seconds, function))
        if self._wake is not None and not self._wake.triggered:
            self._wake.succeed()

    def _add(self, job: Job) -> None:
        self.jobs.append(job)
        self._start_segment(job)

    def _start_segment(self, job: Job) -> None:
        costs = self.costs
        seconds = job.arrival.segments[len(job.sequences)]
        prompt = costs.prompt_tokens + costs.tokens_per_second * seconds
        if job.reference and self.transcripts:
            prompt += REFERENCE_FRAMES + costs.tokens_per_second * REFERENCE_WORDS
        frames = max(1, round(seconds * TOKENS_PER_SECOND))
        sequence = Sequence(max(1, round(prompt)), frames, job.is_long)
        job.sequences.append(sequence)
        self._waiting.append(sequence)

    # The engine's thread

    def _run(self) -> Generator[simpy.Event, Any, None]:
        env = self.env
        while True:
            if not self._calls and not self.jobs:
                self._wake = env.event()
                yield self._wake
                self._wake = None
            calls, self._calls = self._calls, []
            for seconds, function in calls:
                if seconds:
                    self.busy_seconds += seconds
                    yield env.timeout(seconds)
                function()
            if not self.jobs:
                continue
            seconds = self._step()
            chunk, ended = self._poll(env.now + seconds)
            seconds += self.costs.poll * (len(self.jobs) + len(ended))
            if chunk is not None:
                seconds += chunk[2]
            self.busy_seconds += seconds
            self.slot_seconds += seconds * len(self._active)
            yield env.timeout(seconds)
            if chunk is not None:
                self._deliver(chunk[0], chunk[1])
            for job in ended:
                self._end(job)

    def _step(self) -> float:
        """A step of the engine; returns its seconds."""
        if self._waiting:
            self._give_slots()
        scheduled = self._schedule()
        seconds = self._prefill(scheduled)
        count = 0
        context = 0
        finished = False
        for sequence in scheduled:
            if sequence.uncached > MIN_PREFILL:
                continue
            count += 1
            context += sequence.context
            sequence.context += 1
            if sequence.uncached > 1:
                sequence.uncached -= 1
            elif sequence.known < sequence.frames:
                sequence.known += 1
            else:                               # the id that ends it
                sequence.finished = finished = True
        if count:
            seconds += self.costs.step_seconds(count, context / count)
        if finished:
            self._active = [sequence for sequence in self._active if not sequence.finished]
        self._load.jobs = len(self.jobs)
        self._load.note_step(seconds)
        return seconds

    def _give_slots(self) -> None:
        free = self.costs.slots - len(self._active)
        background = sum(sequence.background for sequence in self._active)
        for sequence in sorted(self._waiting, key=attrgetter("background")):
            if not free:
                return
            if sequence.background:
                if background >= self.costs.slots - FOREGROUND_SLOTS:
                    return
                background += 1
            self._waiting.remove(sequence)
            self._active.append(sequence)
            free -= 1

    def _schedule(self) -> list[Sequence]:
        active = self._active
        has_background = any(sequence.background for sequence in active)
        self._paused = False
        if has_background:
            foreground = [sequence for sequence in active if not sequence.background]
            contended = any(sequence.steps < YOUNG_STEPS for sequence in foreground)
            self._pause = max(0, self._pause + (1 if contended else -1))
            self._paused = contended and (self._pause <= MAX_PAUSE or self._pause % 2 == 1)
            if self._paused:
                active = foreground
        else:
            self._pause = 0
        for sequence in active:
            sequence.steps += 1
        return active

    def _prefill(self, scheduled: list[Sequence]) -> float:
        room = self.costs.prefill_chunk
        count = 0
        for sequence in scheduled:
            if sequence.uncached > MIN_PREFILL:
                taken = min(room, sequence.uncached - 1)
                sequence.uncached -= taken
                sequence.context += taken
                count += taken
                room -= taken
                if room <= 0 or not self.costs.packs_prefills:
                    break
        return self.costs.prefill(count) if count else 0.0

    # Chunks of samples

    def _poll(self, now: float) -> tuple[tuple[Job, float, float] | None, list[Job]]:
        """The chunk that is decoded next, as (job, seconds of samples, cost), and the jobs of which
        nothing is left."""
        jobs = self.jobs
        if len(jobs) > 1:
            jobs = sorted(jobs, key=by_playback)
        shared = len(jobs) > 1
        load = self._load
        sustained = load.sustained_chunk
        first = load.first_chunk(DECODED_AT_ONCE)
        ended: list[Job] = []
        chunk = None
        for job in jobs:
            if self._paused and job.is_long:
                continue
            urgent = job.playback_end - now < URGENT_SECONDS
            least = sustained if urgent else LEAST_CHUNK
            size = self._next_chunk(job, shared, first, least)
            if job.done:
                ended.append(job)
            if size:
                chunk = self._decode(job, size, shared)
                break
        for job in ended:
            self.jobs.remove(job)
        return chunk, ended

    def _next_chunk(self, job: Job, shared: bool, first: int, least: int) -> int:
        """Frames of the next chunk; 0 if it is not there yet, or if the job is done."""
        self._start_segments(job)
        while job.emitted < len(job.sequences):
            sequence = job.sequences[job.emitted]
            available = sequence.known - job.decoded
            if sequence.finished:
                if available:
                    return min(DECODED_AT_ONCE.maximum, available)
                job.emitted += 1
                job.decoded = 0
                job.lookahead = DECODED_AT_ONCE.lookahead
                continue
            available -= job.lookahead
            if not shared:
                size = job.scheduled
            elif job.emitted == 0 and not job.decoded:
                size = first
            else:
                size = 0
                for choice in CHUNKS:
                    if least <= choice <= available:
                        size = choice
            return size if 0 < size <= available else 0
        job.done = job.emitted == len(job.arrival.segments)
        return 0

    def _start_segments(self, job: Job) -> None:
        count = len(job.sequences)
        if count == len(job.arrival.segments):
            return
        running = sum(not sequence.finished for sequence in job.sequences)
        while self._may_start(job, running) and count < len(job.arrival.segments):
            self._start_segment(job)
            running += 1
            count += 1

    def _may_start(self, job: Job, running: int) -> bool:
        alone = len(self._waiting) + len(self._active) == running
        if running >= (MAX_PARALLEL_ALONE if alone else MAX_PARALLEL_SEGMENTS):
            return False
        begun = sum(sequence.frames for sequence in job.sequences) / TOKENS_PER_SECOND
        return running < len(job.chunk_times) or begun < FIRST_SECONDS

    def _decode(self, job: Job, size: int, shared: bool) -> tuple[Job, float, float]:
        sequence = job.sequences[job.emitted]
        first = job.decoded
        early = job.lookahead < DECODED_AT_ONCE.lookahead
        last = first + size
        known = sequence.known if shared or sequence.finished else last + job.lookahead
        end = min(known, last + 1) if early else last
        ahead = self.costs.receptive_field if sequence.finished else job.lookahead
        cost = self.decoding_seconds(first, end, min(known, end + ahead))
        job.decoded = last
        job.scheduled = DECODED_AT_ONCE.next_size(job.scheduled)
        job.lookahead = DECODED_AT_ONCE.lookahead
        seconds = size / TOKENS_PER_SECOND
        self._load.note_chunk(cost, size)
        return job, seconds, cost

    def decoding_seconds(self, first: int, last: int, end: int) -> float:
        """Seconds of `BiCodec.decode_frames`, of the frames first .. last - 1 with the context
        before them and up to `end`."""
        costs = self.costs
        before = min(first, costs.receptive_field)
        key = (before, last - first, end - last)
        if key not in self._chunk_seconds:
            frames = before + end - first
            begin = max(0, before - costs.context_frames)
            stop = min(frames, before + last - first + costs.context_frames)
            self._chunk_seconds[key] = self._decoder_seconds(frames, begin, stop)
        return self._chunk_seconds[key]

    def _decoder_seconds(self, frames: int, begin: int, stop: int) -> float:
        """Of the front end for so many frames, and of the wave generator from `begin` to `stop`."""
        costs = self.costs
        if not costs.compiled_lengths:
            seconds = costs.front_end(padded_length(frames, SPEECH_FRAME_BUCKETS))
            return seconds + costs.generator(padded_length(stop - begin, WINDOW_SIZES))
        length = next((size for size in COMPILED_LENGTHS.front_end if size >= frames), None)
        seconds = costs.front_end_any(frames) if length is None else costs.front_end(length)
        lengths = COMPILED_LENGTHS.generator
        for window in cover(begin, stop, frames, costs.context_frames, lengths):
            compiled = window.size in lengths
            curve = costs.generator if compiled else costs.generator_any
            seconds += curve(window.size)
        return seconds

    def _deliver(self, job: Job, seconds: float) -> None:
        now = self.env.now
        job.playback_end = max(job.playback_end, now) + seconds
        job.chunk_times.append((now, seconds))

    def _end(self, job: Job) -> None:
        job.end = self.env.now
        self.ongoing -= 1
        job.on_end(job)
