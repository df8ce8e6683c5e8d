"""Counts and times of a model's requests, as Triton's statistics extension gives them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter_ns, time_ns
from typing import Any

STAGES = ("queue", "compute_input", "compute_infer", "compute_output")


@dataclass
class Duration:
    """How often something took place, and how long in all."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        self.count += 1
        self.ns += ns

    def to_dict(self) -> dict[str, int]:
        return {"count": self.count, "ns": self.ns}


class Stages:
    """Nanoseconds that one request has spent in each of STAGES, of which it is in one at a time;
    the first is compute_input. batch: its rows."""

    def __init__(self) -> None:
        self.ns = dict.fromkeys(STAGES, 0)
        self.batch = 1
        self._stage = "compute_input"
        self._since = perf_counter_ns()

    @property
    def total(self) -> int:
        return sum(self.ns.values())

    def enter(self, stage: str) -> None:
        """End the stage that it is in, and begin another one."""
        now = perf_counter_ns()
        self.ns[self._stage] += now - self._since
        self._stage, self._since = stage, now

    def move(self, ns: int, source: str, target: str) -> None:
        """Count so much of the time of one stage as another's, if it is there."""
        ns = max(0, min(ns, self.ns[source]))
        self.ns[source] -= ns
        self.ns[target] += ns


@dataclass
class ModelStatistics:
    """Of one model since the start. Of one thread."""

    name: str
    version: str
    last_inference: int = 0         # milliseconds since 1970
    inference_count: int = 0        # rows of successful requests
    execution_count: int = 0        # successful requests
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    stages: dict[str, Duration] = field(
        default_factory=lambda: {stage: Duration() for stage in STAGES})
    batches: dict[int, dict[str, Duration]] = field(
        default_factory=lambda: defaultdict(
            lambda: {stage: Duration() for stage in STAGES[1:]}))

    @contextmanager
    def request(self) -> Iterator[Stages]:
        """Count a request: successful, unless an exception (or cancellation) ends it."""
        stages = Stages()
        try:
            yield stages
        except BaseException:
            stages.enter("compute_output")
            self.fail.add(stages.total)
            raise
        stages.enter("compute_output")
        self._add(stages)

    def _add(self, stages: Stages) -> None:
        self.last_inference = time_ns() // 1_000_000
        self.inference_count += stages.batch
        self.execution_count += 1
        self.success.add(stages.total)
        for stage, ns in stages.ns.items():
            self.stages[stage].add(max(1, ns))      # protobuf's JSON leaves out what is 0
        for stage, duration in self.batches[stages.batch].items():
            duration.add(max(1, stages.ns[stage]))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of Triton's ModelStatistics."""
        stats = {"success": self.success, "fail": self.fail, **self.stages,
                 "cache_hit": Duration(), "cache_miss": Duration()}
        batches = []
        for size, durations in sorted(self.batches.items()):
            times = {stage: duration.to_dict() for stage, duration in durations.items()}
            batches.append({"batch_size": size, **times})
        return {
            "name": self.name,
            "version": self.version,
            "last_inference": self.last_inference,
            "inference_count": self.inference_count,
            "execution_count": self.execution_count,
            "inference_stats": {name: duration.to_dict() for name, duration in stats.items()},
            "batch_stats": batches,
        }
