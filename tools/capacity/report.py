"""Predictions as a table for people; the JSON for programs has every figure of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmarks.serving_report import columns
from tools.capacity.costs import Costs

HEADINGS = ("devices", "first audio p50 / p95 / p99", "p95 of the runs",
            "end to end p50 / p95 / p99", "lagging", "refused", "known recordings", "busy",
            "slots used")
NO_ASCEND = ("No costs of an Ascend device are known: none was there to measure. On one, "
             "`python -m cli.doctor --json FILE` measures them; then add --costs FILE.")


def costs_lines(costs: Costs) -> list[str]:
    """Whose figures a prediction is made of."""
    lines = [f"Costs of {costs.description}"]
    if costs.origin.get("note"):
        lines.append(f"Note: {costs.origin['note']}")
    if costs.assumed:
        lines.append(f"Assumed, because the file has no figures of it: {', '.join(costs.assumed)}")
    if not is_ascend(costs):
        lines.append(NO_ASCEND)
    return lines


def is_ascend(costs: Costs) -> bool:
    return "ascend" in str(costs.origin.get("device", "")).lower()


def table(predictions: Sequence[dict[str, Any]], answer: int | None = None) -> str:
    """One line a number of devices; the answer has a mark."""
    rows = [HEADINGS]
    for figures in predictions:
        mark = " *" if figures["devices"] == answer else ""
        rows.append((f"{figures['devices']}{mark}", _percentiles(figures, "first_audio"),
                     _range(figures["first_audio_p95"]), _percentiles(figures, "latency"),
                     _share(figures["lagging"]), _share(figures["refused"]),
                     _share(figures["hits"]), _share(figures["utilization"]),
                     _number(figures["slots_used"]["mean"])))
    return columns(rows)


def as_json(value: Any) -> Any:
    """Without infinity and NaN, which JSON has not."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _percentiles(figures: dict[str, Any], name: str) -> str:
    values = [_number(figures[f"{name}_p{percent}"]["mean"]) for percent in (50, 95, 99)]
    return f"{' / '.join(values)} s"


def _range(figure: dict[str, float]) -> str:
    return f"{_number(figure['least'])}..{_number(figure['largest'])} s"


def _share(figure: dict[str, float]) -> str:
    return f"{100 * figure['mean']:.3g} %" if math.isfinite(figure["mean"]) else "-"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.3g}"
