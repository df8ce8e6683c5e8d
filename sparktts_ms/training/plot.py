"""A plot of a run: training and validation loss and the learning rate over steps."""

from __future__ import annotations

from pathlib import Path

from sparktts_ms.files import atomic_write
from sparktts_ms.training.checkpoint import read_progress


def plot_progress(path: Path, progress_file: Path) -> None:
    """Write the plot as a PNG to `path`. Needs matplotlib (ImportError)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    entries = read_progress(progress_file)

    def curve(name: str) -> tuple[list[int], list[float]]:
        present = [entry for entry in entries if name in entry]
        return [entry["step"] for entry in present], [entry[name] for entry in present]

    figure = Figure(figsize=(9, 4.5), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(*curve("loss"), color="#3b6ea8", label="training")
    axes.plot(*curve("val_loss"), color="#c2571a", marker="o", markersize=3.5, label="validation")
    axes.set(xlabel="step", ylabel="loss (nats per token)", xlim=(0, None))
    axes.grid(True, linewidth=0.6)
    axes.legend(frameon=False)
    rate_axes = axes.twinx()
    rate_axes.plot(*curve("lr"), color="#dde3ea")
    rate_axes.set(ylabel="learning rate", ylim=(0, None))
    axes.set_zorder(rate_axes.get_zorder() + 1)     # losses in front
    axes.patch.set_visible(False)
    with atomic_write(path, overwrite=True) as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})
