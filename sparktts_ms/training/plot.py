"""A plot of a run: training and validation loss and the learning rate over steps."""

from __future__ import annotations

from pathlib import Path

from sparktts_ms.files import atomic_write
from sparktts_ms.training.checkpoint import read_progress

TEXT_COLOR = "#1f2933"
TICK_COLOR = "#66727f"
GRID_COLOR = "#dde3ea"
TRAIN_COLOR = "#3b6ea8"
VALIDATION_COLOR = "#c2571a"


def plot_progress(path: Path, progress_file: Path) -> None:
    """Write the plot as a PNG to `path`. Needs matplotlib (ImportError)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    entries = read_progress(progress_file)
    figure = Figure(figsize=(9, 4.5), dpi=160, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.08, 0.13, 0.84, 0.78))
    axes.plot(*_curve(entries, "loss"), color=TRAIN_COLOR, linewidth=1.4, label="training")
    axes.plot(*_curve(entries, "val_loss"), color=VALIDATION_COLOR, linewidth=1.4, marker="o",
              markersize=3.5, label="validation")
    axes.set(xlabel="step", ylabel="loss (nats per token)", xlim=(0, None))
    axes.grid(True, color=GRID_COLOR, linewidth=0.6)
    rate_axes = axes.twinx()
    rate_axes.plot(*_curve(entries, "lr"), color=GRID_COLOR, linewidth=1.4)
    rate_axes.set_ylabel("learning rate", color=TICK_COLOR)
    rate_axes.set_ylim(0, None)
    axes.set_zorder(rate_axes.get_zorder() + 1)
    axes.patch.set_visible(False)
    for side in (axes, rate_axes):
        side.tick_params(labelsize=9, labelcolor=TICK_COLOR, color=GRID_COLOR)
        for spine in side.spines.values():
            spine.set_visible(False)
    axes.legend(frameon=False, labelcolor=TEXT_COLOR)
    with atomic_write(path, overwrite=True) as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})


def _curve(entries: list[dict], name: str) -> tuple[list[int], list[float]]:
    """Steps and values of the entries that have `name`."""
    present = [entry for entry in entries if name in entry]
    return [entry["step"] for entry in present], [entry[name] for entry in present]
