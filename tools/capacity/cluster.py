"""Replicas of the engine behind a queue, in simulated time (`serving.ray_app`).

A call goes to the one of two random replicas that has fewer calls, if that one has fewer than
`max_ongoing`; else it waits in the queue. A recording that the ingress does not remember is encoded
by a call of its own: with affinity by a replica that knows it, unless these are full for
MATCHING_SECONDS; one that no replica knows by one of those that know the fewest. Then the speech is
a call to any replica. Source: Ray 2.60, serve/_private/request_router.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from tools.capacity.costs import Costs
from tools.capacity.device import Device, Job
from tools.capacity.workload import Arrival

ENGINE_VOICES = 1024            # distributed.engine.MAX_VOICES, which imports Ray
INGRESS_VOICES = 64             # serving.recordings.encoder.MAX_VOICES
MATCHING_SECONDS = 1.0          # RAY_SERVE_MULTIPLEXED_MODEL_ID_MATCHING_TIMEOUT_S


@dataclass(frozen=True)
class Deployment:
    """How many replicas, and how calls reach them.

    max_ongoing: calls in a replica. max_queue: that wait for one; more are refused (429).
    affinity: recordings go to replicas that know them. cache_size: recordings that a replica knows;
    ingress_size: that the ingress knows. transcripts: of recordings, so that they are encoded
    whole. hop: seconds that a request takes beside `Costs.request`, by its way through Ray.
    """

    devices: int = 1
    max_ongoing: int = 20
    max_queue: int = 200
    affinity: bool = True
    cache_size: int = ENGINE_VOICES
    ingress_size: int = INGRESS_VOICES
    transcripts: bool = True
    hop: float = 0.0


@dataclass(slots=True)
class Record:
    """What became of a request. Seconds since it arrived; None of a request that was refused.

    gaps, gap_seconds: silences of a player that starts with the first samples. hit: whether its
    recording was known; None without a recording.
    """

    arrival: float
    seconds: float
    first_audio: float | None = None
    latency: float | None = None
    gaps: int = 0
    gap_seconds: float = 0.0
    hit: bool | None = None
    refused: bool = False


@dataclass
class Call:
    """Something for a replica. voice: of a recording, which some replica may know. start: gives it
    to a replica. since: when it came to the router."""

    start: Callable[[Device], None]
    since: float
    voice: int | None = None


class Cluster:
    """The devices and their router. Each request ends in one Record."""

    def __init__(self, env: simpy.Environment, costs: Costs, deployment: Deployment, seed: int):
        self.env = env
        self.costs = costs
        self.deployment = deployment
        self.records: list[Record] = []
        self.submitted = 0
        self.devices = [Device(env, costs, deployment.cache_size, deployment.transcripts)
                        for _ in range(deployment.devices)]
        self._random = np.random.default_rng((seed, 1))
        self._queue: deque[Call] = deque()
        self._ingress: OrderedDict[int, None] = OrderedDict()
        self._knowing: dict[int, OrderedDict[int, None]] = {        # by replica: voices, by use
            index: OrderedDict() for index in range(deployment.devices)}

    def warm(self, voices: int) -> None:
        """Let the recordings 0 .. voices - 1 have been brought before, as often as they fit: with
        affinity each to one replica, else to all of them."""
        drawn = [int(voice) for voice in self._random.permutation(voices)]
        for voice in drawn[:self.deployment.ingress_size]:
            self._ingress[voice] = None
        count = len(self.devices)
        for index, device in enumerate(self.devices):
            if self.deployment.affinity:
                own = drawn[index::count]
            else:
                own = [int(voice) for voice in self._random.permutation(voices)]
            for voice in own[:self.deployment.cache_size]:
                device.cache[voice] = None
                self._knowing[index][voice] = None

    def run(self, arrivals: Iterable[Arrival]) -> None:
        """Let the requests arrive, and return when all have ended."""
        process = self.env.process(self._arrive(arrivals))
        self.env.run(process)
        while len(self.records) < self.submitted:
            self.env.step()

    def _arrive(self, arrivals: Iterable[Arrival]) -> Generator[simpy.Event, Any, None]:
        for arrival in arrivals:
            delay = arrival.time - self.env.now
            if delay > 0:
                yield self.env.timeout(delay)
            self._submit(arrival)

    def _submit(self, arrival: Arrival) -> None:
        self.submitted += 1
        voice = arrival.voice
        job = Job(arrival, self._finish, reference=voice is not None)
        if voice is None:
            self._speak(job)
        elif voice in self._ingress:
            job.hit = True
            self._speak(job)
        else:
            encode = Call(lambda device: device.encode(voice, lambda hit: self._encoded(job, hit)),
                          self.env.now, voice if self.deployment.affinity else None)
            self._send(encode, job)

    def _encoded(self, job: Job, hit: bool) -> None:
        job.hit = hit
        if job.arrival.voice is not None:
            self._ingress[job.arrival.voice] = None
            if len(self._ingress) > self.deployment.ingress_size:
                self._ingress.popitem(last=False)
        self._speak(job)
        self._send_waiting()

    def _speak(self, job: Job) -> None:
        self._send(Call(lambda device: device.speak(job), self.env.now), job)

    def _send(self, call: Call, job: Job) -> None:
        """Give a call to a replica or the queue, or refuse its request."""
        if not self._queue and self._route(call):
            return
        if len(self._queue) >= self.deployment.max_queue:
            arrival = job.arrival
            self.records.append(Record(arrival.time, arrival.seconds, refused=True))
            return
        self._queue.append(call)
        if call.voice is not None:
            self.env.process(self._look_again())

    def _look_again(self) -> Generator[simpy.Event, Any, None]:
        yield self.env.timeout(MATCHING_SECONDS)
        self._send_waiting()

    def _send_waiting(self) -> None:
        """Send what waits, in order; a recording that may still get a replica that knows it lets
        others pass."""
        passed: list[Call] = []
        while self._queue and self._has_room():
            call = self._queue.popleft()
            if not self._route(call):
                passed.append(call)
        self._queue.extendleft(reversed(passed))

    def _has_room(self) -> bool:
        limit = self.deployment.max_ongoing
        return any(device.ongoing < limit for device in self.devices)

    def _route(self, call: Call) -> bool:
        """Give a call to a replica; False if there is none for it now."""
        if call.voice is None:
            index = self._choose(range(len(self.devices)))
        else:
            index = self._choose_for(call.voice, self.env.now - call.since)
        if index is None:
            return False
        if call.voice is not None:
            knowing = self._knowing[index]
            knowing[call.voice] = None
            knowing.move_to_end(call.voice)
            if len(knowing) > self.deployment.cache_size:
                knowing.popitem(last=False)
        call.start(self.devices[index])
        return True

    def _choose_for(self, voice: int, waited: float) -> int | None:
        """A replica for a recording."""
        knowing = [index for index, voices in self._knowing.items() if voice in voices]
        if knowing and waited < MATCHING_SECONDS:
            return self._choose(knowing)
        least = min(map(len, self._knowing.values()))
        fewest = [index for index, voices in self._knowing.items() if len(voices) == least]
        index = self._choose(fewest)
        return self._choose(range(len(self.devices))) if index is None else index

    def _choose(self, candidates: Sequence[int]) -> int | None:
        """The less loaded of two; the router draws again while both are full."""
        limit = self.deployment.max_ongoing
        count = len(candidates)
        first = int(self._random.integers(count))
        index = candidates[first]
        if count > 1:
            second = int(self._random.integers(count - 1))
            other = candidates[second + (second >= first)]
            if self.devices[other].ongoing < self.devices[index].ongoing:
                index = other
        if self.devices[index].ongoing < limit:
            return index
        room = [index for index in candidates if self.devices[index].ongoing < limit]
        return room[int(self._random.integers(len(room)))] if room else None

    def _finish(self, job: Job) -> None:
        arrival = job.arrival
        overhead = self.costs.request + self.deployment.hop
        record = Record(arrival.time, arrival.seconds, hit=job.hit)
        record.first_audio = job.chunk_times[0][0] - arrival.time + overhead
        record.latency = job.end - arrival.time + overhead
        record.gaps, record.gap_seconds = gaps(job.chunk_times)
        self.records.append(record)
        if self._queue:
            self._send_waiting()


def gaps(chunks: list[tuple[float, float]]) -> tuple[int, float]:
    """Silences of a player that starts with the first of the chunks (time, seconds of samples):
    how many, and their seconds."""
    count = 0
    silence = 0.0
    runs_dry = chunks[0][0]
    for time, seconds in chunks:
        if time > runs_dry + 1e-9:
            count += 1
            silence += time - runs_dry
            runs_dry = time
        runs_dry += seconds
    return count, silence


def simulate(costs: Costs, deployment: Deployment, arrivals: Iterable[Arrival], seed: int,
             voices: int = 0) -> tuple[list[Record], Cluster]:
    """Records of all requests, in the order in which they ended. voices: see `Cluster.warm`."""
    env = simpy.Environment()
    cluster = Cluster(env, costs, deployment, seed)
    cluster.warm(voices)
    cluster.run(arrivals)
    return cluster.records, cluster

