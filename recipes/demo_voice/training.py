"""What the training stages share: arguments, state to resume from, and a log of metrics."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import torch

from sparktts_ms.files import atomic_write


def stage_parser(description: str, *paths: str) -> argparse.ArgumentParser:
    """Arguments of a stage that trains in WORK, the last of its `paths`."""
    parser = argparse.ArgumentParser(description=description)
    for path in (*paths, "work"):
        parser.add_argument(path, type=Path)
    parser.add_argument("--max_steps", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser


def start_stage(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)


def no_collate(item):
    """For a DataLoader whose data set makes complete batches."""
    return item


def save_checkpoint(work: Path, stage: str, step: int, **parts) -> None:
    """Write WORK/STAGE.pt with the number of finished steps and the state of `parts`."""
    state = {"step": step}
    for name, part in parts.items():
        state[name] = part.state_dict()
    with atomic_write(work / f"{stage}.pt", overwrite=True) as file:
        torch.save(state, file)


def load_checkpoint(work: Path, stage: str, **parts) -> int:
    """Fill `parts` from WORK/STAGE.pt; returns the number of finished steps, 0 without the file."""
    path = work / f"{stage}.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True, map_location="cpu")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["step"]


def submodule_state(work: Path, stage: str, submodule: str) -> dict[str, torch.Tensor]:
    """The state of one submodule of the network `net` in WORK/STAGE.pt."""
    state = torch.load(work / f"{stage}.pt", weights_only=True, map_location="cpu")["net"]
    prefix = f"{submodule}."
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def log_line(work: Path, stage: str, line: dict) -> None:
    """Print a line of metrics and append it to WORK/STAGE.jsonl, rounded to four digits."""
    rounded = {key: round(float(value), 4) for key, value in line.items()} | {"step": line["step"]}
    print(json.dumps(rounded), flush=True)
    with open(work / f"{stage}.jsonl", "a") as log:
        log.write(json.dumps(rounded) + "\n")


class MetricMeans:
    """Means of metrics, floats or tensors, and the seconds a step, since the last `take`."""

    def __init__(self):
        self._reset()

    def _reset(self) -> None:
        self.sums: dict = {}
        self.count = 0
        self.began = time.monotonic()

    def add(self, metrics: dict) -> None:
        for name, value in metrics.items():
            value = value.detach() if isinstance(value, torch.Tensor) else value
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1

    def take(self) -> dict:
        means = {name: float(value) / self.count for name, value in self.sums.items()}
        means["seconds_per_step"] = (time.monotonic() - self.began) / self.count
        self._reset()
        return means
