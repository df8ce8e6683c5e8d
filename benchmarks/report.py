"""Figures as tables for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.plan import Results, Row, Task, ratios

LABEL_WIDTH = 56
COLUMN_WIDTH = 24


def spread(figures: Sequence[float]) -> str:
    """The median and, of several, the range: 51.2 [50.1..54.0]."""
    if not figures:
        return "-"
    middle = short(statistics.median(figures))
    if len(figures) == 1:
        return middle
    return f"{middle} [{short(min(figures))}..{short(max(figures))}]"


def short(figure: float) -> str:
    """Three digits, more if they are before the point."""
    return f"{figure:.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def table(title: str, tasks: Sequence[Task], engines: Sequence[str], results: Results) -> str:
    """One line a row, one column an engine; lines without a figure are left out."""
    lines = [f"{title:{LABEL_WIDTH}s}" + _columns(engines)]
    for task in tasks:
        for row in task.rows:
            cells = []
            for engine in engines:
                figures = results.of(task.name, engine)
                cells.append(spread([row.convert(figure) for figure in figures]))
            if any(cell != "-" for cell in cells):
                lines.append(f"{_label(row):{LABEL_WIDTH}s}" + _columns(cells))
    return "\n".join(lines)


def ratio_table(results: Results, against: str | None = None) -> str:
    """Empty if none was measured."""
    lines = [f"{'Ratios':{LABEL_WIDTH}s}"]
    for ratio in ratios(against):
        figures = results.ratio(ratio)
        if figures:
            label = _label(Row(ratio.label, ratio.unit))
            lines.append(f"{label:{LABEL_WIDTH}s}" + _columns([spread(figures)]))
    return "\n".join(lines) if len(lines) > 1 else ""


def as_json(tasks: Sequence[Task], results: Results, more: dict[str, Any],
            against: str | None = None) -> dict[str, Any]:
    """Raw figures in seconds, bytes and counts; median, least and largest of what tables show."""
    shown: dict[str, dict[str, Any]] = {}
    for task in tasks:
        if task.name not in results.figures:
            continue
        for row in task.rows:
            summaries = shown[_label(row)] = {}
            for engine, figures in results.figures[task.name].items():
                summaries[engine] = _summary([row.convert(figure) for figure in figures])
    ratio_summaries = {}
    for ratio in ratios(against):
        figures = results.ratio(ratio)
        if figures:
            ratio_summaries[ratio.label] = _summary(figures)
    return {
        **more, "machine": machine(), "raw": results.figures, "cores_busy_elsewhere": results.busy,
        "shown": shown, "ratios": ratio_summaries}


def machine() -> dict[str, Any]:
    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                processor = line.split(":")[1].strip()
                break
    return {"processor": processor, "cores": f"{os.cpu_count()} cores"}


def _columns(cells: Sequence[str]) -> str:
    return "".join(f"{cell:>{COLUMN_WIDTH}s}" for cell in cells)


def _label(row: Row) -> str:
    return f"{row.label}, {row.unit}" if row.unit else row.label


def _summary(figures: Sequence[float]) -> dict[str, float]:
    return {
        "median": statistics.median(figures), "min": min(figures), "max": max(figures),
        "rounds": len(figures)}
