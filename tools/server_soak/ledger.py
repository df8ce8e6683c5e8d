"""What became of every request of a soak test, what the server held meanwhile, and the verdict."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tools.server_soak.process import Usage

logger = logging.getLogger("soak")

MAX_FAILURES = 100              # kept with their messages
SPARE_FILES = 4                 # connections of clients that stay open
SPARE_THREADS = 8               # of pools, which grow until they have all of theirs


class Failed(Exception):
    """A request that did not end as it must. kind: lost, wrong_audio, server_error, unexpected."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


class Point(NamedTuple):
    """What the server held, so many seconds after the start; `life` counts its processes."""

    seconds: float
    life: int
    usage: Usage


@dataclass
class Ledger:
    """outcomes: (client, outcome) -> requests. failures: those that make the test fail."""

    began: float = field(default_factory=time.monotonic)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    failure_count: int = 0
    first_audio: dict[str, list[float]] = field(default_factory=dict)
    slot_freed: list[float] = field(default_factory=list)
    audio_s: float = 0.0
    points: list[Point] = field(default_factory=list)
    idle: list[Point] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def requests(self) -> int:
        return sum(self.outcomes.values())

    def count(self, client: str, outcome: str) -> None:
        self.outcomes[client, outcome] += 1

    def fail(self, client: str, kind: str, message: str) -> None:
        """Count a failure; the first ones are kept in one line each."""
        self.outcomes[client, kind] += 1
        self.failure_count += 1
        if len(self.failures) < MAX_FAILURES:
            line = " ".join(message.split())[:300]
            self.failures.append(f"{self.seconds:7.1f} s {client}: {kind}: {line}")
            logger.error(self.failures[-1])

    def note(self, event: str) -> str:
        self.events.append(f"{self.seconds:7.1f} s {event}")
        return self.events[-1]

    def heard(self, client: str, first_audio: float, audio_s: float) -> None:
        """Count speech that has arrived: seconds to its first samples, and of sound."""
        self.first_audio.setdefault(client, []).append(first_audio)
        self.audio_s += audio_s


def growth(points: Sequence[Point], warm_up: float) -> tuple[float, float]:
    """The largest memory in MB of the last process until `warm_up` seconds of the test, and after.

    Without points on either side both are equal: nothing is known to have grown.
    """
    last = max((point.life for point in points), default=0)
    memory = [(point.seconds, point.usage.memory) for point in points if point.life == last]
    before = [megabytes for seconds, megabytes in memory if seconds <= warm_up]
    after = [megabytes for seconds, megabytes in memory if seconds > warm_up]
    if not before or not after:
        known = max([megabytes for _, megabytes in memory], default=0.0)
        return known, known
    return max(before), max(after)


def leaks(idle: Sequence[Point]) -> list[str]:
    """What the server holds idle at the end but did not hold idle before, in the same process."""
    if len(idle) < 2:
        return ["The server was not seen idle twice."]
    first, last = idle[0].usage, idle[-1].usage
    found = []
    for name, spare in (("threads", SPARE_THREADS), ("files", SPARE_FILES), ("temp_files", 0)):
        before, after = getattr(first, name), getattr(last, name)
        if after > before + spare:
            found.append(f"{name}: {before} idle after the warm-up, {after} idle at the end")
    for name in ("running", "waiting"):
        if getattr(last, name):
            found.append(f"{name}: {getattr(last, name)} requests of an idle server")
    return found


@dataclass(frozen=True)
class Verdict:
    """problems: empty if the server passed."""

    problems: tuple[str, ...]
    memory_before: float
    memory_after: float

    @classmethod
    def of(cls, ledger: Ledger, warm_up: float, errors: int, max_growth: float) -> Verdict:
        """errors: in the server's log. max_growth: of its memory; 0.05 is 5 percent."""
        before, after = growth(ledger.points, warm_up)
        problems = []
        if ledger.failure_count:
            problems.append(f"{ledger.failure_count} requests failed")
        if not ledger.requests:
            problems.append("no request was sent")
        if after > (1 + max_growth) * before:
            problems.append(f"memory grew from {before:.0f} to {after:.0f} MB")
        if errors:
            problems.append(f"{errors} errors in the server's log")
        return cls((*problems, *leaks(ledger.idle)), before, after)

    @property
    def memory_growth(self) -> float:
        """Of the peak after the warm-up against that of the warm-up: 0.01 is one percent more."""
        return self.memory_after / self.memory_before - 1 if self.memory_before else 0.0


def as_json(ledger: Ledger, verdict: Verdict, more: dict[str, Any]) -> dict[str, Any]:
    clients: dict[str, dict[str, int]] = {}
    for (client, outcome), count in sorted(ledger.outcomes.items()):
        clients.setdefault(client, {})[outcome] = count
    points = [{"seconds": point.seconds, "life": point.life, **asdict(point.usage)}
              for point in ledger.points]
    idle = [{"seconds": point.seconds, "life": point.life, **asdict(point.usage)}
            for point in ledger.idle]
    return {
        **more, "passed": not verdict.problems, "problems": list(verdict.problems),
        "seconds": ledger.seconds, "requests": ledger.requests, "audio_s": ledger.audio_s,
        "clients": clients, "failures": ledger.failures, "failure_count": ledger.failure_count,
        "memory_after_warm_up_mb": verdict.memory_before,
        "memory_peak_later_mb": verdict.memory_after, "memory_growth": verdict.memory_growth,
        "first_audio_s": {client: percentiles(values)
                          for client, values in sorted(ledger.first_audio.items())},
        "slot_freed_s": percentiles(ledger.slot_freed), "idle": idle, "events": ledger.events,
        "points": points}


def percentiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"p50": float(np.percentile(values, 50)), "p95": float(np.percentile(values, 95)),
            "max": max(values), "count": len(values)}


def table(ledger: Ledger, verdict: Verdict) -> str:
    """Each kind of client with what became of its requests; what the server held; the verdict."""
    lines = [f"{'client':24s}{'first audio p50 / p95':>24s}  outcomes"]
    for client in sorted({client for client, _ in ledger.outcomes}):
        outcomes = [f"{count} {outcome}" for (name, outcome), count
                    in ledger.outcomes.most_common() if name == client]
        heard = percentiles(ledger.first_audio.get(client, ()))
        first = f"{heard['p50']:.2f} / {heard['p95']:.2f} s" if heard else "-"
        lines.append(f"{client:24s}{first:>24s}  {', '.join(outcomes)}")
    lines.append(f"\n{ledger.requests} requests, {ledger.audio_s:.0f} s of sound in "
                 f"{ledger.seconds:.0f} s")
    lines.append(f"memory: peak {verdict.memory_before:.0f} MB until the end of the warm-up, "
                 f"{verdict.memory_after:.0f} MB later ({verdict.memory_growth:+.1%})")
    for name, point in zip(("warm-up", "end"), (*ledger.idle[:1], *ledger.idle[-1:]), strict=False):
        usage = point.usage
        lines.append(f"idle after the {name}: {usage.memory:.0f} MB, {usage.threads} threads, "
                     f"{usage.files} files, {usage.temp_files} temporary files, "
                     f"{usage.running} running, {usage.waiting} waiting")
    freed = percentiles(ledger.slot_freed)
    if freed:
        lines.append(f"slot of a client that left was free after {freed['p50']:.2f} s, at most "
                     f"{freed['max']:.2f} s ({freed['count']} times)")
    lines += ["", *ledger.failures[:20]]
    lines.append("PASSED" if not verdict.problems else "FAILED: " + "; ".join(verdict.problems))
    return "\n".join(lines)
