"""The engines measure in turns, each while the others are idle."""

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

from benchmarks.machine_load import watched
from benchmarks.plan import CLONING, COMMAND, FIRST, FLOAT, GRAPHS, INT8, LOADING, MEMORY, OURS, Results, Task
from benchmarks.worker import ROOT, Worker

QUIET, TRIES = 0.25, 3          # cores that others may keep busy, and how often a figure is taken until they do not


def measure_everything(commands: dict[str, list[str]], groups: Iterable[list[Task]], rounds: int,
                       results: Results) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the workers (name -> command line). Versions of what they use, by name, and what int8 costs in quality."""
    for name in OURS:
        memory_of_cloning(name, commands[name], results)
        memory_of_the_command(name, commands[name], results)
    with ExitStack() as stack:
        workers = {}
        for name, command in commands.items():
            say(f"Starting {name} ...")
            worker = stack.enter_context(Worker(name, command))
            if worker.missing:
                print(f"{name}: {worker.missing} is not installed; left out.")
                continue
            workers[name] = worker
            results.add(LOADING.name, name, worker.about["seconds"])
        for group in groups:
            say(" / ".join(task.name for task in group) + " ...")
            measure(group, workers, rounds, results)
        for name, worker in workers.items():
            results.add(MEMORY.name, name, worker.ask("memory")["bytes"])
            if name in OURS:
                results.add(GRAPHS.name, name, len(worker.ask("graphs")["graphs"]))
        quality = compare(workers) if {FLOAT, INT8} <= workers.keys() else {}
        return {name: worker.about["versions"] for name, worker in workers.items()}, quality


def memory_of_cloning(name: str, command: list[str], results: Results) -> None:
    """What a process needs that only speaks in a known voice."""
    say(f"Cloning in a process of its own, {name} ...")
    with Worker(name, command) as worker:
        if not worker.missing:
            results.add(LOADING.name, name, worker.about["seconds"])
            worker.ask("speak", tokens=250)
            results.add(CLONING.name, name, worker.ask("memory")["bytes"])


def memory_of_the_command(name: str, command: list[str], results: Results) -> None:
    """What `cli.inference` needs to clone a recording with its transcript, wav2vec 2.0 included."""
    say(f"The command line, {name} ...")
    python, model_dir, weights, example = command[0], command[3], command[5], ROOT / "examples" / "sparktts"
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [python, "-m", "cli.inference", "--model_dir", model_dir, "--weights", weights, "--device_target", "CPU",
             "--text", "Hello there, how are you?", "--prompt_speech_path", str(example / "prompt.wav"),
             "--prompt_text", (example / "prompt.txt").read_text(encoding="utf-8"), "--seed", "2", "--max_new_tokens", "250",
             "--save_dir", folder], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode == 0:
            results.add(COMMAND.name, name, used.ru_maxrss * 1024)


def measure(group: list[Task], workers: dict[str, Worker], rounds: int, results: Results) -> None:
    """Ask for each task of the group, and of it everyone, in turn, round after round."""
    for number in range(-1, rounds):
        for task in group:
            for name in [name for name in task.who if name in workers]:
                if number < 0 and task.warm_up:
                    results.add(FIRST + task.name, name, ask(task, workers[name])[0])
                elif 0 <= number < (task.rounds or rounds):
                    results.add(task.name, name, *ask_in_peace(task, workers[name]))


def ask(task: Task, worker: Worker) -> tuple[float, float]:
    """Seconds, and how many cores others kept busy meanwhile."""
    answer, busy = watched(worker.process.pid, lambda: worker.ask(task.measure, **task.arguments))
    return answer["seconds"], busy


def ask_in_peace(task: Task, worker: Worker) -> tuple[float, float]:
    """The same, once more and once again if others disturbed it; the least disturbed counts."""
    tries: list[tuple[float, float]] = []
    while len(tries) < TRIES and not (tries and tries[-1][1] <= QUIET):
        tries.append(ask(task, worker))
    return min(tries, key=lambda figure: figure[1])


def compare(workers: dict[str, Worker], positions: int = 64) -> dict[str, Any]:
    """How far int8 moves the distribution of the next id, over `positions` of a random prompt."""
    logs = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in (FLOAT, INT8):
            file = Path(folder) / f"{name}.npy"
            workers[name].ask("log_probabilities", file=str(file), context=64, positions=positions)
            logs[name] = np.load(file)
    p, q = logs[FLOAT], logs[INT8]
    divergence = (np.exp(p) * (p - q)).sum(-1)
    return {"positions": positions, "mean_kl": float(divergence.mean()), "largest_kl": float(divergence.max()),
            "same_best": float((p.argmax(-1) == q.argmax(-1)).mean()), "entropy": float(-(np.exp(p) * p).sum(-1).mean())}


def say(line: str) -> None:
    """Progress, apart from the result."""
    print(line, file=sys.stderr, flush=True)
