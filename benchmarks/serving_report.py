"""Figures of a speech server under load, as a table for people and as JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.report import short
from benchmarks.speech_client import Result

HEADINGS = ("load", "requests", "real-time factor", "first audio p50 / p95", "end to end p50 / p95",
            "audio s per s", "underruns (silence)", "errors")


@dataclass(frozen=True)
class Load:
    """So many streams at once, or so many arrivals a second."""

    streams: int | None = None
    rate: float | None = None

    def __str__(self) -> str:
        if self.rate is not None:
            return f"{self.rate:g} arrivals a second"
        return "1 stream" if self.streams == 1 else f"{self.streams} streams"


@dataclass
class Measurement:
    """All results of a load.

    wall_s: seconds of its rounds together. client_cpu_s: CPU seconds of this process meanwhile.
    """

    load: Load
    results: list[Result] = field(default_factory=list)
    wall_s: float = 0.0
    client_cpu_s: float = 0.0
    round_factors: list[float] = field(default_factory=list)

    def add(self, results: Sequence[Result], wall_s: float, client_cpu_s: float) -> None:
        """Count one round."""
        self.results += results
        self.wall_s += wall_s
        self.client_cpu_s += client_cpu_s
        audio_s = sum(result.audio_s or 0.0 for result in results)
        if audio_s:
            self.round_factors.append(wall_s / audio_s)

    @property
    def succeeded(self) -> list[Result]:
        return [result for result in self.results if result.error is None]

    @property
    def audio_s(self) -> float:
        return sum(result.audio_s or 0.0 for result in self.results)

    @property
    def errors(self) -> dict[str, int]:
        """Kind -> how many, the most frequent first."""
        counts = Counter(result.error for result in self.results if result.error is not None)
        return dict(counts.most_common())

    def percentile(self, figure: str, percent: float) -> float | None:
        """Of a field of the successful results, interpolated; None if there are none."""
        figures = [getattr(result, figure) for result in self.succeeded]
        return float(np.percentile(figures, percent)) if figures else None

    def figures(self) -> dict[str, Any]:
        """What the JSON report says of this load; None where no request succeeded."""
        succeeded = self.succeeded
        audio_s = self.audio_s
        messages: dict[str, str] = {}
        for result in self.results:
            if result.error is not None:
                messages.setdefault(result.error, result.message)
        return {
            "streams": self.load.streams,
            "rate": self.load.rate,
            "requests": len(self.results),
            "succeeded": len(succeeded),
            "wall_s": self.wall_s,
            "audio_s": audio_s,
            "real_time_factor": self.wall_s / audio_s if audio_s else None,
            "real_time_factor_of_rounds": self.round_factors,
            "audio_seconds_per_second": audio_s / self.wall_s if self.wall_s else None,
            "first_audio_p50_s": self.percentile("first_audio_s", 50),
            "first_audio_p95_s": self.percentile("first_audio_s", 95),
            "end_to_end_p50_s": self.percentile("end_to_end_s", 50),
            "end_to_end_p95_s": self.percentile("end_to_end_s", 95),
            "request_real_time_factor_p50": self.percentile("real_time_factor", 50),
            "request_real_time_factor_p95": self.percentile("real_time_factor", 95),
            "underruns": sum(result.underruns for result in succeeded),
            "underrun_s": sum(result.gaps_s for result in succeeded),
            "requests_with_underruns": sum(result.underruns > 0 for result in succeeded),
            "errors": self.errors,
            "error_messages": messages,
            "client_cpu_s": self.client_cpu_s,
        }


def as_json(measurements: Sequence[Measurement], more: dict[str, Any]) -> dict[str, Any]:
    return {**more, "runs": [measurement.figures() for measurement in measurements]}


def table(measurements: Sequence[Measurement]) -> str:
    """One line a load."""
    return columns([HEADINGS, *(_row(measurement) for measurement in measurements)])


def columns(rows: Sequence[Sequence[str]]) -> str:
    """The rows as lines; columns as wide as what they hold."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(measurement: Measurement) -> tuple[str, ...]:
    figures = measurement.figures()
    errors = ", ".join(f"{count} {kind}" for kind, count in figures["errors"].items())
    underruns = f"{figures['underruns']} ({short(figures['underrun_s'])} s)"
    return (str(measurement.load), str(figures["requests"]), _short(figures["real_time_factor"]),
            _seconds(figures, "first_audio"), _seconds(figures, "end_to_end"),
            _short(figures["audio_seconds_per_second"]), underruns, errors or "none")


def _seconds(figures: dict[str, Any], name: str) -> str:
    return f"{_short(figures[f'{name}_p50_s'])} / {_short(figures[f'{name}_p95_s'])} s"


def _short(figure: float | None) -> str:
    return "-" if figure is None else short(figure)
