"""Runs of the simulation, what they say together, and the smallest number of devices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tools.capacity.cluster import Cluster, Deployment, Record, simulate
from tools.capacity.costs import Costs
from tools.capacity.workload import Arrival, Workload, until

RUNS = 5
REQUESTS = 400                  # that a run measures, as far as MAX_SECONDS allows
MIN_SECONDS = 60.0              # of simulated time
MAX_SECONDS = 1800.0
WARM_UP = 0.2                   # of a run, before requests count
IDLE = 50                       # times the least number: what these do not meet, no number does
MAX_SIMULATED = 16              # devices; more are simulated as so many with their share
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Target:
    """What has to hold. first_audio_p95: seconds. lagging: share of requests whose playback stops
    for more than max_silence seconds in all."""

    first_audio_p95: float = 1.0
    lagging: float = 0.01
    max_silence: float = 0.5

    def is_met(self, figures: dict[str, Any]) -> bool:
        """By the means of all runs."""
        return (figures["refused"]["mean"] <= 0 and figures["lagging"]["mean"] <= self.lagging
                and figures["first_audio_p95"]["mean"] <= self.first_audio_p95)


@dataclass(frozen=True)
class Scale:
    """devices that are simulated for a number of them, each with the same share of requests."""

    devices: int
    simulated: int

    @classmethod
    def of(cls, devices: int) -> Scale:
        return cls(devices, min(devices, MAX_SIMULATED))

    def workload(self, workload: Workload, affinity: bool) -> Workload:
        """For the simulated devices. With affinity each device knows its share of the voices,
        without affinity it meets all of them."""
        share = self.simulated / self.devices
        voices = workload.voices
        if affinity:
            voices = max(1, round(voices * share))
        return replace(workload, rate=workload.rate * share, voices=voices)


def run_seconds(workload: Workload) -> float:
    """Simulated seconds of a run: enough for REQUESTS, warm-up not counted."""
    seconds = REQUESTS / workload.rate / (1 - WARM_UP)
    return min(MAX_SECONDS, max(MIN_SECONDS, 3 * workload.text_seconds, seconds))


def predict(costs: Costs, deployment: Deployment, workload: Workload, target: Target = Target(),
            runs: int = RUNS, seed: int = 0) -> dict[str, Any]:
    """Figures of several runs: {name: {"mean", "least", "largest"}}."""
    scale = Scale.of(deployment.devices)
    scaled = scale.workload(workload, deployment.affinity)
    seconds = run_seconds(scaled)
    share = scale.simulated / scale.devices
    deployment = replace(deployment, devices=scale.simulated,
                         max_queue=math.ceil(deployment.max_queue * share))
    if deployment.affinity:
        deployment = replace(deployment, ingress_size=math.ceil(deployment.ingress_size * share))
    results = []
    for run in range(runs):
        arrivals = until(scaled.arrivals(seed + run), seconds)
        records, cluster = simulate(costs, deployment, arrivals, seed + run,
                                    scaled.voices)
        results.append(run_figures(records, cluster, WARM_UP * seconds,
                                   target.max_silence))
    figures = spread_of(results)
    figures["devices"] = scale.devices
    figures["simulated_devices"] = scale.simulated
    return figures


def replay(costs: Costs, deployment: Deployment, arrivals: Sequence[Arrival],
           target: Target = Target(), runs: int = RUNS, seed: int = 0) -> dict[str, Any]:
    """As `predict`, of a trace: the runs differ in the router's choices alone."""
    results = []
    for run in range(runs):
        records, cluster = simulate(costs, deployment, arrivals, seed + run)
        results.append(run_figures(records, cluster, 0.0, target.max_silence))
    figures = spread_of(results)
    figures["devices"] = figures["simulated_devices"] = deployment.devices
    return figures


def run_figures(records: Sequence[Record], cluster: Cluster, begin: float,
                max_silence: float) -> dict[str, float]:
    """Figures of one run, of the requests that arrived at `begin` or later. Seconds and shares."""
    counted = [record for record in records if record.arrival >= begin]
    served = [record for record in counted if not record.refused]
    figures: dict[str, float] = {"requests": len(counted)}
    for name in ("first_audio", "latency"):
        values = [getattr(record, name) for record in served]
        for percent in PERCENTILES:
            figures[f"{name}_p{percent}"] = (
                float(np.percentile(values, percent)) if values else math.nan)
    figures["refused"] = _share(sum(record.refused for record in counted), len(counted))
    figures["lagging"] = _share(
        sum(record.gap_seconds > max_silence for record in served), len(served))
    figures["gaps"] = sum(record.gaps for record in served)
    figures["gap_seconds"] = sum(record.gap_seconds for record in served)
    recordings = [record for record in served if record.hit is not None]
    figures["hits"] = _share(sum(bool(record.hit) for record in recordings), len(recordings))
    elapsed = cluster.env.now
    devices = len(cluster.devices)
    busy = sum(device.busy_seconds for device in cluster.devices)
    slots = sum(device.slot_seconds for device in cluster.devices)
    figures["utilization"] = _share(busy, elapsed * devices)
    figures["slots_used"] = _share(slots, elapsed * devices)
    if served:
        ends = [record.arrival + (record.latency or 0.0) for record in served]
        wall = max(ends) - min(record.arrival for record in served)
        figures["audio_seconds_per_second"] = _share(
            sum(record.seconds for record in served), wall)
    return figures


def spread_of(results: Sequence[dict[str, float]]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name in results[0]:
        values = [result[name] for result in results if name in result]
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            figures[name] = {"mean": sum(finite) / len(finite), "least": min(finite),
                             "largest": max(finite)}
        else:
            figures[name] = {"mean": math.inf, "least": math.inf, "largest": math.inf}
    return figures


def find_devices(costs: Costs, deployment: Deployment, workload: Workload, target: Target,
                 limit: int, runs: int = RUNS, seed: int = 0,
                 progress: Callable[[int], None] = lambda devices: None
                 ) -> tuple[int | None, list[dict[str, Any]]]:
    """The smallest number of devices up to `limit` that meets the target, or None; and the figures
    of the numbers around it, ascending; without an answer, of the numbers that were tried.

    Up to MAX_SIMULATED devices all runs decide; above, the first one finds it to about a hundredth,
    and all runs confirm it.
    """
    tried: dict[tuple[int, int], dict[str, Any]] = {}

    def figures_of(devices: int, count: int) -> dict[str, Any]:
        if (devices, count) not in tried:
            progress(devices)
            tried[devices, count] = predict(costs, replace(deployment, devices=devices), workload,
                                            target, count, seed)
        return tried[devices, count]

    def is_met(devices: int) -> bool:
        count = runs if devices <= MAX_SIMULATED else 1
        return target.is_met(figures_of(devices, count))

    def none() -> tuple[None, list[dict[str, Any]]]:
        return None, [tried[key] for key in sorted(tried)]

    least = least_devices(costs, workload)
    low, high = 0, max(1, math.floor(least))
    if not is_met(min(high, limit)) and not is_met(min(math.ceil(IDLE * least), limit)):
        return none()
    while not is_met(min(high, limit)):
        if high >= limit:
            return none()
        low = high
        high = max(high + 1, math.ceil(1.3 * high))
    high = min(high, limit)
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        if is_met(middle):
            high = middle
        else:
            low = middle
    while not target.is_met(figures_of(high, runs)):
        if high >= limit:
            return none()
        high = min(limit, math.ceil(1.01 * high))
    return high, [figures_of(devices, runs) for devices in curve_around(high) if devices <= limit]


def curve_around(devices: int) -> list[int]:
    """The numbers of devices that are shown beside the answer."""
    if devices <= 8:
        return [number for number in range(devices - 2, devices + 3) if number > 0]
    return sorted({round(factor * devices) for factor in (0.8, 0.9, 1.0, 1.1, 1.25)})


def least_devices(costs: Costs, workload: Workload) -> float:
    """Below so many devices the work takes longer than there is time: every step is full, every
    chunk as large as it can be, and no recording is encoded."""
    frames = 100
    context = costs.prompt_tokens + 200.0
    step = costs.step_seconds(costs.slots, context) / costs.slots
    chunk = costs.front_end(frames) + costs.generator(frames)
    work = 50 * (step + chunk / frames)
    return workload.rate * workload.text_seconds * work


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
