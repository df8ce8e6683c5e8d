"""Replicas of the engine behind a queue, in simulated time (`serving.ray_app`).

A call goes to the one of two random replicas that has fewer calls, if that one has fewer than
`max_ongoing`; else it waits in the queue. A recording that the ingress does not remember is encoded
by a call of its own: with affinity by the first replica with room in the recording's own order of
them (rendezvous hashing). Then the speech is a call to any replica. Source: `serving.distributed.
router`, and Ray 2.60, serve/_private/request_router.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from tools.capacity.costs import Costs
from tools.capacity.device import Device, Job
from tools.capacity.workload import Arrival

ENGINE_VOICES = 1024            # distributed.engine.MAX_VOICES, which imports Ray
INGRESS_VOICES = 64             # serving.recordings.encoder.MAX_VOICES


@dataclass(frozen=True)
class Deployment:
    """How many replicas, and how calls reach them.

    max_ongoing: calls in a replica. max_queue: that wait for one; more are refused (429).
    affinity: a recording goes to the same replica each time. cache_size: recordings that a replica
    knows; ingress_size: that the ingress knows. transcripts: of recordings, so that they are
    encoded whole. hop: seconds that a request takes beside `Costs.request`, by its way through Ray.
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
    """Something for a replica. start: gives it to one. voice: of a recording that has an order of
    replicas of its own."""

    start: Callable[[Device], None]
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
        self._seed = seed
        self._random = np.random.default_rng((seed, 1))
        self._queue: deque[Call] = deque()
        self._ingress: OrderedDict[int, None] = OrderedDict()

    def warm(self, voices: int) -> None:
        """Let the recordings 0 .. voices - 1 have been brought before, as often as they fit: with
        affinity each to its own replica, else to all of them."""
        drawn = self._random.permutation(voices).tolist()
        for voice in drawn[:self.deployment.ingress_size]:
            self._ingress[voice] = None
        if self.deployment.affinity:
            known: list[list[int]] = [[] for _ in self.devices]
            for voice in drawn:
                known[self._ranked(voice)[0]].append(voice)
        else:
            known = [self._random.permutation(voices).tolist() for _ in self.devices]
        for device, own in zip(self.devices, known, strict=True):
            for voice in own[:self.deployment.cache_size]:
                device.cache[voice] = None

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
                          voice if self.deployment.affinity else None)
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
        self._send(Call(lambda device: device.speak(job)), job)

    def _send(self, call: Call, job: Job) -> None:
        """Give a call to a replica or the queue, or refuse its request."""
        if not self._queue and self._route(call):
            return
        if len(self._queue) >= self.deployment.max_queue:
            arrival = job.arrival
            self.records.append(Record(arrival.time, arrival.seconds, refused=True))
            return
        self._queue.append(call)

    def _send_waiting(self) -> None:
        """Send what waits, in order."""
        while self._queue:
            call = self._queue.popleft()
            if not self._route(call):
                self._queue.appendleft(call)
                return

    def _route(self, call: Call) -> bool:
        """Give a call to a replica; False if all are full."""
        order = self._drawn() if call.voice is None else self._ranked(call.voice)
        limit = self.deployment.max_ongoing
        index = next((index for index in order if self.devices[index].ongoing < limit), None)
        if index is None:
            return False
        call.start(self.devices[index])
        return True

    def _drawn(self) -> list[int]:
        """All replicas: the less loaded of two, then others; the router draws again while both are
        full."""
        order = self._random.permutation(len(self.devices)).tolist()
        order[:2] = sorted(order[:2], key=lambda index: self.devices[index].ongoing)
        return order

    def _ranked(self, voice: int) -> list[int]:
        """All replicas in the order of a recording."""
        random = np.random.default_rng((self._seed, 2, voice))
        return random.permutation(len(self.devices)).tolist()

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

