"""Measured pitch and speed by the label that was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evaluation.evaluate import Obeyed
from sparktts_ms.files import atomic_write
from sparktts_ms.generation.attributes import LEVELS, PITCH_THRESHOLDS, SPEED_THRESHOLDS

INK, QUIET, RULE = "#1f2933", "#66727f", "#dde3ea"
COLOURS = {"female": "#c2571a", "male": "#3b6ea8"}


def draw(path: Path, told: list[Obeyed]) -> None:
    """One dot an utterance, a bar for each mean, and lines where one label ends and the next begins."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), dpi=160, facecolor="white")
    FigureCanvasAgg(figure)
    scatter = np.random.default_rng(0)
    for place, name, value, unit in ((0.07, "pitch", "hertz", "median f0, Hz"), (0.57, "speed", "rate", "syllables a second")):
        axes = figure.add_axes((place, 0.13, 0.4, 0.75))
        for side, (gender, colour) in zip((-0.16, 0.16), COLOURS.items(), strict=True):
            for label in range(5):
                values = np.array([getattr(o, value) for o in told if o.gender == gender and getattr(o, name) == label])
                axes.plot(label + side + scatter.uniform(-0.09, 0.09, len(values)), values, "o", color=colour, markersize=2.5,
                          alpha=0.5, markeredgewidth=0, label=gender if not label else None)
                axes.plot([label + side - 0.13, label + side + 0.13], [values.mean()] * 2, color=colour, linewidth=2)
            for edge in PITCH_THRESHOLDS[gender] if name == "pitch" else SPEED_THRESHOLDS["en"]:
                axes.axhline(edge, color=colour if name == "pitch" else QUIET, linewidth=0.5, alpha=0.5, zorder=0)
        axes.set_xticks(range(5), [level.replace("_", " ") for level in LEVELS])
        axes.set_title(f"{name} asked for, and {unit}", fontsize=10, color=INK, loc="left")
        axes.tick_params(labelsize=9, labelcolor=QUIET, color=RULE, length=3)
        for spine in axes.spines.values():
            spine.set_visible(False)
        if name == "pitch":
            axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    with atomic_write(path, overwrite=True) as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})
