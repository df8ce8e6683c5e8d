"""A picture of a run: loss over steps, on what is trained and on what is held out, and the learning rate."""

from __future__ import annotations

from pathlib import Path

from sparktts_ms.files import atomic_write
from sparktts_ms.training.checkpoint import read_lines

INK, QUIET, RULE, LEARNT, UNSEEN = "#1f2933", "#66727f", "#dde3ea", "#3b6ea8", "#c2571a"


def draw(path: Path, progress: Path) -> None:
    """Draw the run whose lines of progress are in `progress` as a PNG at `path`. Needs matplotlib (ImportError)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = read_lines(progress)
    loss_mask, unseen = [e for e in lines if "loss" in e], [e for e in lines if "unseen_loss" in e]
    figure = Figure(figsize=(9, 4.5), dpi=160, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.08, 0.13, 0.84, 0.78))
    axes.plot([e["step"] for e in loss_mask], [e["loss"] for e in loss_mask], color=LEARNT, linewidth=1.4, label="batches")
    axes.plot([e["step"] for e in unseen], [e["unseen_loss"] for e in unseen], color=UNSEEN, linewidth=1.4, marker="o",
              markersize=3.5, label="held out")
    axes.set(xlabel="step", ylabel="loss (nats a token)", xlim=(0, None))
    axes.grid(True, color=RULE, linewidth=0.6)
    rates = axes.twinx()
    rates.plot([e["step"] for e in loss_mask], [e["rate"] for e in loss_mask], color=RULE, linewidth=1.4)
    rates.set_ylabel("learning rate", color=QUIET)
    rates.set_ylim(0, None)
    axes.set_zorder(rates.get_zorder() + 1)
    axes.patch.set_visible(False)
    for side in (axes, rates):
        side.tick_params(labelsize=9, labelcolor=QUIET, color=RULE)
        for spine in side.spines.values():
            spine.set_visible(False)
    axes.legend(frameon=False, labelcolor=INK)
    with atomic_write(path, overwrite=True) as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})
