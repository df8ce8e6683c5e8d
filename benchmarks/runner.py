"""Runs the workers: the engines measure in turns, each while the others are idle."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import long_text
from benchmarks.command_line import CommandError, CommandLine, write_voice
from benchmarks.machine_load import run_watched
from benchmarks.plan import (
    CLONE_MEMORY,
    COMMAND,
    COMMAND_MEMORY,
    FLOAT,
    GRAPHS,
    LOADING,
    LONG_MEMORY,
    LONG_TEXT,
    MEMORY,
    OURS,
    QUALITY,
    WARM_UP_PREFIX,
    Results,
    Task,
)
from benchmarks.selection import Selection
from benchmarks.worker import Worker, WorkerDied

MAX_BUSY_CORES = 0.25       # that other processes may use while a figure is measured
MAX_ATTEMPTS = 3            # to measure a figure while they use less


@dataclass(frozen=True)
class OurEngine:
    """This package, or another revision of it in the folder `source`.

    quantize: "none", "int8" or "int4".
    """

    source: Path
    model_dir: Path
    quantize: str

    @property
    def worker(self) -> list[str]:
        """The command line of its worker."""
        return [sys.executable, "-m", "benchmarks.ours", str(self.model_dir),
                "--quantize", self.quantize, "--source", str(self.source)]

    @property
    def command_line(self) -> CommandLine:
        return CommandLine(self.source, self.model_dir, self.quantize)


@dataclass
class Measured:
    """What a run returns beside its figures.

    versions: of what each engine uses. quality: engine -> how far its quantized weights move the
    distribution of the next id (see `compare`). bytes_read: engine -> what a decode step reads.
    growth: engine -> of resident memory during a long text.
    """

    versions: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, dict[str, Any]] = field(default_factory=dict)
    bytes_read: dict[str, dict[str, int]] = field(default_factory=dict)
    growth: dict[str, float | None] = field(default_factory=dict)


def run_all(ours: Mapping[str, OurEngine], peers: Mapping[str, list[str]],
            groups: Sequence[list[Task]], rounds: int, selection: Selection,
            results: Results) -> Measured:
    """Measure what is selected and add it to `results`.

    ours: engine -> this package or another revision. peers: engine -> command line of its worker.
    """
    measured = Measured()
    measure_starts(ours, rounds, selection, results)
    measure_commands(ours, rounds, selection, results)
    commands = {name: engine.worker for name, engine in ours.items()}
    commands.update(peers)
    needed = selection.engines(groups)
    if selection.has(QUALITY):
        needed |= set(OURS)
    with ExitStack() as stack:
        workers = {}
        for name, command in commands.items():
            if name not in needed:
                continue
            log(f"Starting {name} ...")
            worker = start(name, command, stack)
            if worker is None:
                continue
            workers[name] = worker
            measured.versions[name] = worker.about["versions"]
            if name in peers:
                results.add(LOADING.name, name, worker.about["seconds"])
        for group in groups:
            if any(selection.has(task) for task in group):
                log(" / ".join(task.name for task in group) + " ...")
            measure_group(group, workers, rounds, selection, results)
        for name, worker in workers.items():
            results.add(MEMORY.name, name, worker.request("memory")["bytes"])
            if name in ours:
                measured.bytes_read[name] = worker.request("bytes_read")
            if name in OURS:
                results.add(GRAPHS.name, name, len(worker.request("graphs")["graphs"]))
        if selection.has(QUALITY):
            measured.quality = compare(workers)
    return measured


def start(name: str, command: list[str], stack: ExitStack) -> Worker | None:
    """The worker of an engine, until `stack` is closed; None, with a line that says why, if it
    lacks a package or is another revision that cannot load the model. Raises WorkerDied."""
    try:
        worker = stack.enter_context(Worker(name, command))
    except WorkerDied as error:
        if name in OURS:
            raise
        log(f"{name}: {error.reason}; left out.")
        return None
    if worker.missing:
        log(f"{name}: {worker.missing} is not installed; left out.")
        return None
    return worker


def measure_starts(ours: Mapping[str, OurEngine], rounds: int, selection: Selection,
                   results: Results) -> None:
    """Loading time, in turns, each in a process of its own; after the first, which fills caches,
    also the peak memory of speaking in a known voice."""
    for number in range(-1, rounds):
        for name, engine in ours.items():
            loads = selection.has(LOADING, name)
            clones = number < 0 and name in OURS and selection.has(CLONE_MEMORY, name)
            if not loads and not clones:
                continue
            log(f"Loading {name} in a process of its own ...")
            with ExitStack() as stack:
                worker = start(name, engine.worker, stack)
                if worker is None:
                    continue
                task = f"{WARM_UP_PREFIX}{LOADING.name}" if number < 0 else LOADING.name
                results.add(task, name, worker.about["seconds"])
                if clones:
                    worker.request("speak", tokens=250)
                    results.add(CLONE_MEMORY.name, name, worker.request("memory")["bytes"])


def measure_commands(ours: Mapping[str, OurEngine], rounds: int, selection: Selection,
                     results: Results) -> None:
    """Time and peak memory of the command line. Of the memory the larger of a run that may use
    cached weights and one that may not."""
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        voice = folder / "voice.json"
        if selection.has(COMMAND):
            write_voice(next(iter(ours.values())).model_dir, voice)
        for name, engine in ours.items():
            if not selection.has(COMMAND_MEMORY, name) or name not in OURS:
                continue
            log(f"Memory of the command line, {name} ...")
            command = engine.command_line
            caches = (False, True) if command.has_weight_cache else (True,)
            peaks = [command.peak_memory(folder, cached) for cached in caches]
            results.add(COMMAND_MEMORY.name, name, max(peaks))
        for number in range(-1, rounds):
            for name, engine in ours.items():
                if not selection.has(COMMAND, name):
                    continue
                log(f"The command line, {name} ...")
                task = f"{WARM_UP_PREFIX}{COMMAND.name}" if number < 0 else COMMAND.name
                try:
                    results.add(task, name, engine.command_line.seconds(voice, folder))
                except CommandError as error:
                    if name in OURS:
                        raise
                    log(f"{name}: {error} It is left out.")


def measure_long(ours: Mapping[str, OurEngine], engines: Sequence[str], forced: bool,
                 results: Results, measured: Measured) -> None:
    """Work a second of speech, peak memory and its growth, of a long text, each in a process of its
    own."""
    for name in engines:
        if name not in ours:
            continue
        log(f"A text of {long_text.CHARACTERS} characters, {name} ...")
        with ExitStack() as stack:
            worker = start(name, ours[name].worker, stack)
            if worker is None:
                continue
            answer = worker.request("long_text", characters=long_text.CHARACTERS, forced=forced)
            results.add(LONG_TEXT.name, name, answer["seconds"] / answer["speech_seconds"])
            results.add(LONG_MEMORY.name, name, worker.request("memory")["bytes"])
            measured.growth[name] = long_text.memory_growth(answer["memory"])


def measure_group(group: list[Task], workers: dict[str, Worker], rounds: int,
                  selection: Selection, results: Results) -> None:
    """Each task of the group by each of its engines in turn, round after round. A peer or another
    revision that dies is taken out of `workers`."""
    for number in range(-1, rounds):            # -1 is the warm-up
        for task in group:
            for name in task.engines:
                if name not in workers or not selection.has(task, name):
                    continue
                try:
                    if number < 0 and task.warm_up:
                        seconds, _ = measure(task, workers[name])
                        results.add(WARM_UP_PREFIX + task.name, name, seconds)
                    elif 0 <= number < (task.rounds or rounds):
                        results.add(task.name, name, *measure_undisturbed(task, workers[name]))
                except WorkerDied as error:
                    if name in OURS:
                        raise
                    log(f"{name} died in {task.name} ({error.reason}); the rest is left out.")
                    del workers[name]


def measure(task: Task, worker: Worker) -> tuple[float, float]:
    """Seconds, and how many cores other processes kept busy meanwhile."""
    answer, busy = run_watched(
        worker.process.pid, lambda: worker.request(task.measure, **task.arguments))
    return answer["seconds"], busy


def measure_undisturbed(task: Task, worker: Worker) -> tuple[float, float]:
    """As `measure`, repeated while other processes disturb it; the least disturbed attempt."""
    attempts: list[tuple[float, float]] = []
    while len(attempts) < MAX_ATTEMPTS:
        seconds, busy = measure(task, worker)
        attempts.append((seconds, busy))
        if busy <= MAX_BUSY_CORES:
            break
    return min(attempts, key=lambda attempt: attempt[1])


def compare(workers: dict[str, Worker], positions: int = 64) -> dict[str, dict[str, Any]]:
    """How far quantized weights move the distribution of the next id from that of float32, over
    `positions` of a random prompt, by engine."""
    logs = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in OURS:
            if name in workers:
                file = str(Path(folder) / f"{name}.npy")
                workers[name].request(
                    "log_probabilities", file=file, context=64, positions=positions)
                logs[name] = np.load(file)
    if FLOAT not in logs:
        return {}
    return {name: divergence(logs[FLOAT], log) for name, log in logs.items() if name != FLOAT}


def divergence(p: np.ndarray, q: np.ndarray) -> dict[str, Any]:
    """Of log probabilities q from p, both [positions, ids]; in nats."""
    divergences = (np.exp(p) * (p - q)).sum(-1)
    return {
        "positions": len(p),
        "mean_kl": float(divergences.mean()),
        "largest_kl": float(divergences.max()),
        "same_best": float((p.argmax(-1) == q.argmax(-1)).mean()),
        "entropy": float(-(np.exp(p) * p).sum(-1).mean()),
    }


def log(line: str) -> None:
    """Progress, on stderr."""
    print(line, file=sys.stderr, flush=True)
