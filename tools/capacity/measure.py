"""Measures the costs of a model on this machine: python -m tools.capacity --measure --model_dir DIR

With --processes N so many processes measure each figure at once, as replicas that share a machine:
then each has its part of the memory's bandwidth. The median of all processes and rounds counts.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.report import machine
from benchmarks.worker import ROOT, Worker
from sparktts_ms.files import atomic_write
from sparktts_ms.service import COMPILED_LENGTHS
from tools.capacity.costs import FORMAT, VERSION
from tools.capacity.other_work import OtherWork

BATCHES = (1, 2, 3, 4, 5, 8, 9, 16)         # before and behind each that has a graph
CONTEXTS = (100, 500)
STEPS = 30                                  # of the engine, of which the median counts
PREFILLS = (8, 16, 32, 33, 64, 128, 256)
ANY_LENGTHS = (20, 60, 150, 250)            # of the decoder, that have no graph
CHARACTERS = (20, 60, 120, 400)
JOBS = 8
ROUNDS = 3
OVERHEAD = 0.01                             # seconds of a request beside the engine; see `check`


@dataclass(frozen=True)
class Conditions:
    """model_dir, device_target, quantize: of the engine. threads: of each process, None: the
    default. processes: that measure at once."""

    model_dir: Path
    device_target: str = "auto"
    quantize: str = "none"
    threads: int | None = None
    processes: int = 1
    rounds: int = ROUNDS


def measure(conditions: Conditions, log: Callable[[str], None]) -> dict[str, Any]:
    """The costs, as `costs.parse_costs` reads them. Raises RuntimeError if a process dies."""
    command = [sys.executable, "-m", "tools.capacity.worker", str(conditions.model_dir.resolve()),
               "--device_target", conditions.device_target, "--quantize", conditions.quantize]
    if conditions.threads is not None:
        command = ["env", f"OMP_NUM_THREADS={conditions.threads}", *command]
    with ExitStack() as stack:
        log(f"Starting {conditions.processes} of the model, with its warm-up ...")
        names = [f"costs {number}" for number in range(conditions.processes)]
        workers = _start(stack, names, command)
        gang = Gang(workers, conditions.rounds, log)
        about = workers[0].about
        other = OtherWork()
        chunk = about["engine"]["prefill_chunk"]
        compiled = COMPILED_LENGTHS
        any_length = ANY_LENGTHS if about["engine"]["compiled_lengths"] else (64, 256)
        lengths = {
            "front_end": compiled.front_end if about["engine"]["compiled_lengths"] else any_length,
            "generator": compiled.generator if about["engine"]["compiled_lengths"] else any_length,
            "front_end_any": any_length, "generator_any": any_length}
        step = {}
        for sequences in BATCHES:
            step[str(sequences)] = [
                [context, gang.ask("step", sequences=sequences, context=context, steps=STEPS)]
                for context in CONTEXTS]
        seconds: dict[str, Any] = {"step": step}
        seconds["prefill"] = gang.curve("prefill", "tokens",
                                        [size for size in PREFILLS if size <= chunk])
        for name, sizes in lengths.items():
            seconds[name] = gang.curve(name.removesuffix("_any"), "frames", sizes)
        seconds["encode"] = gang.ask("encode", transcript=True)
        seconds["encode_speaker"] = gang.ask("encode", transcript=False)
        seconds["read_recording"] = gang.ask("read_recording")
        seconds["prepare"] = gang.curve("prepare", "characters", CHARACTERS)
        seconds["poll"] = gang.ask("poll", jobs=JOBS)
        seconds["request"] = OVERHEAD
        busy = other.stop()
    origin = {
        "model": conditions.model_dir.name, "dtype": about["dtype"], "device": about["device"],
        **machine(), "threads": conditions.threads or "default",
        "processes": conditions.processes, "commit": _commit(), "date": str(date.today()),
        "cores_busy_elsewhere": round(busy, 2), "mindspore": about["versions"]["mindspore"]}
    return {"format": FORMAT, "version": VERSION,
            "name": f"{conditions.model_dir.name}, {about['dtype']}, {about['device']}",
            "origin": origin, "engine": about["engine"], "text": about["text"],
            "seconds": _rounded(seconds)}


def write_costs(costs: dict[str, Any], path: Path) -> None:
    """Raises OutputError if it cannot be written."""
    with atomic_write(path, overwrite=True) as file:
        file.write(render(costs).encode())


def render(costs: dict[str, Any]) -> str:
    """JSON with a curve a line."""
    lines = []
    for key, value in costs.items():
        if key != "seconds":
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    figures = []
    for key, value in costs["seconds"].items():
        if key == "step":
            rows = [f"      {json.dumps(n)}: {json.dumps(points)}" for n, points in value.items()]
            joined = ",\n".join(rows)
            figures.append(f'    "step": {{\n{joined}\n    }}')
        else:
            figures.append(f"    {json.dumps(key)}: {json.dumps(value)}")
    joined = ",\n".join(figures)
    lines.append(f'  "seconds": {{\n{joined}\n  }}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


class Gang:
    """Workers that measure the same at the same time."""

    def __init__(self, workers: Sequence[Worker], rounds: int, log: Callable[[str], None]):
        self.workers = workers
        self.rounds = rounds
        self.log = log
        self._threads = ThreadPoolExecutor(len(workers))

    def ask(self, measure: str, **arguments: Any) -> float:
        """The median of all workers and rounds, in seconds."""
        self.log(" ".join([measure, *map(str, arguments.values())]))
        seconds = []
        for _ in range(self.rounds):
            answers = self._threads.map(
                lambda worker: worker.request(measure, **arguments), self.workers)
            seconds += [answer["seconds"] for answer in answers]
        return statistics.median(seconds)

    def curve(self, measure: str, argument: str, sizes: Sequence[int]) -> list[list[float]]:
        return [[size, self.ask(measure, **{argument: size})] for size in sizes]


def _start(stack: ExitStack, names: Sequence[str], command: list[str]) -> list[Worker]:
    workers = [Worker(name, command) for name in names]
    return [stack.enter_context(worker) for worker in workers]


def _commit() -> str:
    result = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True,
                            text=True)
    return result.stdout.strip()


def _rounded(value: Any) -> Any:
    """Four digits of each number."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
