"""Measured pitch and speaking rate by requested level, as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.evaluate import ControlledUtterance
from sparktts_ms.files import atomic_write
from sparktts_ms.generation.attributes import LEVELS, PITCH_THRESHOLDS, SPEED_THRESHOLDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEXT = "#1f2933"
GRAY = "#66727f"
LIGHT_GRAY = "#dde3ea"
COLORS = {"female": "#c2571a", "male": "#3b6ea8"}
OFFSETS = {"female": -0.16, "male": 0.16}


def plot_control(path: Path, utterances: Sequence[ControlledUtterance]) -> None:
    """A dot for each utterance, a bar for each mean, and lines at the limits of the levels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), dpi=160, facecolor="white")
    FigureCanvasAgg(figure)
    jitter = np.random.default_rng(0)

    axes = figure.add_axes((0.07, 0.13, 0.4, 0.75))
    _plot_levels(axes, utterances, "pitch", "f0", jitter)
    for gender, edges in PITCH_THRESHOLDS.items():
        _draw_edges(axes, edges, COLORS[gender])
    axes.set_title("requested pitch, median F0 in Hz", fontsize=10, color=TEXT, loc="left")
    axes.legend(frameon=False, fontsize=9, labelcolor=TEXT)

    axes = figure.add_axes((0.57, 0.13, 0.4, 0.75))
    _plot_levels(axes, utterances, "speed", "speaking_rate", jitter)
    _draw_edges(axes, SPEED_THRESHOLDS["en"], GRAY)
    axes.set_title("requested speed, syllables per second", fontsize=10, color=TEXT, loc="left")

    with atomic_write(path, overwrite=True) as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})


def _plot_levels(
    axes: Axes,
    utterances: Sequence[ControlledUtterance],
    attribute: str,
    measured: str,
    jitter: np.random.Generator,
) -> None:
    for gender, color in COLORS.items():
        for level in range(5):
            values = np.array([getattr(one, measured) for one in utterances
                               if one.gender == gender and getattr(one, attribute) == level])
            x = level + OFFSETS[gender]
            axes.plot(x + jitter.uniform(-0.09, 0.09, len(values)), values, "o", color=color,
                      markersize=2.5, alpha=0.5, markeredgewidth=0,
                      label=gender if level == 0 else None)
            axes.plot([x - 0.13, x + 0.13], [values.mean()] * 2, color=color, linewidth=2)
    axes.set_xticks(range(5), [level.replace("_", " ") for level in LEVELS])
    axes.tick_params(labelsize=9, labelcolor=GRAY, color=LIGHT_GRAY, length=3)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_edges(axes: Axes, edges: Sequence[float], color: str) -> None:
    for edge in edges:
        axes.axhline(edge, color=color, linewidth=0.5, alpha=0.5, zorder=0)
