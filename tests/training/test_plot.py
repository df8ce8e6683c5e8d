"""The plot of a run."""

import pytest

from sparktts_ms.training.plot import plot_progress


def test_plot_is_a_png(tmp_path):
    pytest.importorskip("matplotlib")
    progress = tmp_path / "progress.jsonl"
    progress.write_text('{"step": 20, "lr": 0.1, "loss": 3.0}\n{"step": 40, "val_loss": 2.0}\n')
    plot_progress(tmp_path / "loss.png", progress)
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
