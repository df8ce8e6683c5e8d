"""Figures as tables for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.plan import Results, Row, Task, ratios

LABEL, COLUMN = 56, 22


def spread(figures: Sequence[float]) -> str:
    """The median and, of several, the range: 51.2 [50.1..54.0]."""
    if not figures:
        return "-"
    middle = short(statistics.median(figures))
    return middle if len(figures) == 1 else f"{middle} [{short(min(figures))}..{short(max(figures))}]"


def short(figure: float) -> str:
    """Three digits, more if they are before the point."""
    return f"{figure:.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def table(title: str, tasks: Sequence[Task], workers: Sequence[str], results: Results) -> str:
    """One line a row, one column a worker; lines without a figure are left out."""
    lines = [f"{title:{LABEL}s}" + "".join(f"{name:>{COLUMN}s}" for name in workers)]
    for task in tasks:
        for row in task.rows:
            cells = [spread([row.of(figure) for figure in results.of(task.name, name)]) for name in workers]
            if any(cell != "-" for cell in cells):
                lines.append(f"{_labelled(row):{LABEL}s}" + "".join(f"{cell:>{COLUMN}s}" for cell in cells))
    return "\n".join(lines)


def ratio_table(results: Results) -> str:
    lines = [f"{'Ratios':{LABEL}s}"]
    for ratio in ratios():
        if figures := results.ratio(ratio):
            lines.append(f"{_labelled(Row(ratio.label, ratio.unit)):{LABEL}s}{spread(figures):>{COLUMN}s}")
    return "\n".join(lines)


def as_json(tasks: Sequence[Task], results: Results, more: dict[str, Any]) -> dict[str, Any]:
    """Everything: raw figures in seconds, bytes and counts, and the medians, minima and maxima of what the tables show."""
    shown = {_labelled(row): {name: _summary([row.of(figure) for figure in figures])
                              for name, figures in results.figures[task.name].items()}
             for task in tasks if task.name in results.figures for row in task.rows}
    return {**more, "machine": machine(), "raw": results.figures, "cores_busy_elsewhere": results.busy,
            "shown": shown,
            "ratios": {ratio.label: _summary(figures) for ratio in ratios() if (figures := results.ratio(ratio))}}


def machine() -> dict[str, Any]:
    processor = platform.processor()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line.split(":")[1].strip() for line in information.read_text().splitlines() if line.startswith("model name")]
        processor = names[0] if names else processor
    return {"processor": processor, "cores": f"{os.cpu_count()} cores"}


def _labelled(row: Row) -> str:
    return f"{row.label}, {row.unit}" if row.unit else row.label


def _summary(figures: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(figures), "min": min(figures), "max": max(figures), "rounds": len(figures)}
