"""Runs the workers: the engines measure in turns, each while the others are idle."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine_load import run_watched
from benchmarks.plan import (
    CLONE_MEMORY,
    COMMAND_MEMORY,
    FLOAT,
    GRAPHS,
    INT8,
    LOADING,
    MEMORY,
    OURS,
    WARM_UP_PREFIX,
    Results,
    Task,
)
from benchmarks.worker import ROOT, Worker

MAX_BUSY_CORES = 0.25       # that other processes may use while a figure is measured
MAX_ATTEMPTS = 3            # to measure a figure while they use less


def run_all(
    commands: dict[str, list[str]], groups: Iterable[list[Task]], rounds: int, results: Results
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the workers (engine -> command line) and add what they measure to `results`.

    Returns the versions of what each engine uses, and the quality of int8 (see compare_int8).
    """
    for name in OURS:
        measure_clone_memory(name, commands[name], results)
        measure_command_memory(name, commands[name], results)
    with ExitStack() as stack:
        workers = {}
        for name, command in commands.items():
            log(f"Starting {name} ...")
            worker = stack.enter_context(Worker(name, command))
            if worker.missing:
                print(f"{name}: {worker.missing} is not installed; left out.")
                continue
            workers[name] = worker
            results.add(LOADING.name, name, worker.about["seconds"])
        for group in groups:
            log(" / ".join(task.name for task in group) + " ...")
            measure_group(group, workers, rounds, results)
        for name, worker in workers.items():
            results.add(MEMORY.name, name, worker.request("memory")["bytes"])
            if name in OURS:
                results.add(GRAPHS.name, name, len(worker.request("graphs")["graphs"]))
        quality = compare_int8(workers) if {FLOAT, INT8} <= workers.keys() else {}
        return {name: worker.about["versions"] for name, worker in workers.items()}, quality


def measure_clone_memory(name: str, command: list[str], results: Results) -> None:
    """Loading time and peak memory of a process that only speaks in a known voice."""
    log(f"Cloning in a process of its own, {name} ...")
    with Worker(name, command) as worker:
        if not worker.missing:
            results.add(LOADING.name, name, worker.about["seconds"])
            worker.request("speak", tokens=250)
            results.add(CLONE_MEMORY.name, name, worker.request("memory")["bytes"])


def measure_command_memory(name: str, command: list[str], results: Results) -> None:
    """Peak memory of `cli.inference` for a recording with its transcript, wav2vec 2.0 included."""
    log(f"The command line, {name} ...")
    python, _, _, model_dir, _, quantize = command
    example = ROOT / "examples" / "sparktts"
    transcript = (example / "prompt.txt").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        inference = [
            python, "-m", "cli.inference", "--model_dir", model_dir, "--quantize", quantize,
            "--device_target", "CPU", "--text", "Hello there, how are you?",
            "--prompt_speech_path", str(example / "prompt.wav"), "--prompt_text", transcript,
            "--seed", "2", "--max_new_tokens", "250", "--save_dir", folder]
        process = subprocess.Popen(
            inference, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode == 0:
            results.add(COMMAND_MEMORY.name, name, usage.ru_maxrss * 1024)


def measure_group(
    group: list[Task], workers: dict[str, Worker], rounds: int, results: Results
) -> None:
    """Each task of the group by each of its engines in turn, round after round."""
    for number in range(-1, rounds):            # -1 is the warm-up
        for task in group:
            for name in task.engines:
                if name not in workers:
                    continue
                if number < 0 and task.warm_up:
                    seconds, _ = measure(task, workers[name])
                    results.add(WARM_UP_PREFIX + task.name, name, seconds)
                elif 0 <= number < (task.rounds or rounds):
                    results.add(task.name, name, *measure_undisturbed(task, workers[name]))


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


def compare_int8(workers: dict[str, Worker], positions: int = 64) -> dict[str, Any]:
    """How far int8 moves the distribution of the next id, over `positions` of a random prompt."""
    logs = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in (FLOAT, INT8):
            file = str(Path(folder) / f"{name}.npy")
            workers[name].request("log_probabilities", file=file, context=64, positions=positions)
            logs[name] = np.load(file)
    p = logs[FLOAT]
    q = logs[INT8]
    divergence = (np.exp(p) * (p - q)).sum(-1)
    return {
        "positions": positions,
        "mean_kl": float(divergence.mean()),
        "largest_kl": float(divergence.max()),
        "same_best": float((p.argmax(-1) == q.argmax(-1)).mean()),
        "entropy": float(-(np.exp(p) * p).sum(-1).mean()),
    }


def log(line: str) -> None:
    """Progress, on stderr."""
    print(line, file=sys.stderr, flush=True)
