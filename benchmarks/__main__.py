"""This package beside PyTorch and llama.cpp at the released dimensions: python -m benchmarks

Generates the full-size checkpoint once (4 GB, in .cache, random weights of the released shapes).
Each engine is a process of its own; they measure in turns, so that whatever else the machine does
affects all of them. An engine that is not installed is left out. Still, run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.plan import (
    BFLOAT16,
    CLONE_MEMORY,
    COMMAND_MEMORY,
    FIRST_RECORDING,
    FLOAT,
    GRAPHS,
    INT8,
    LLAMA,
    LOADING,
    MEMORY,
    TABLES,
    TORCH,
    Results,
    Task,
    task_groups,
)
from benchmarks.report import as_json, machine, ratio_table, spread, table
from benchmarks.runner import MAX_BUSY_CORES, log, run_all
from benchmarks.worker import ROOT


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model_dir", type=Path, help="measure this model instead of the generated one")
    parser.add_argument(
        "--peer_python", default=sys.executable,
        help="the Python that has PyTorch and llama-cpp-python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds, no long utterances")
    parser.add_argument(
        "--json", type=Path, default=ROOT / ".cache" / "bench.json", help="write everything here")
    args = parser.parse_args()
    peer = shutil.which(args.peer_python)
    if peer is None:
        parser.error(f"{args.peer_python} is not a program; --peer_python names a Python.")
    model_dir = (args.model_dir or generated_model(ROOT / ".cache" / "full-model")).resolve()
    rounds = min(args.rounds, 2) if args.quick else args.rounds
    groups = task_groups(args.quick)
    results = Results()
    commands = engine_commands(model_dir, str(Path(peer).absolute()))
    versions, quality = run_all(commands, groups, rounds, results)
    tasks = [LOADING, FIRST_RECORDING]
    for group in groups:
        tasks += group
    tasks += [MEMORY, CLONE_MEMORY, COMMAND_MEMORY, GRAPHS]
    more = {"rounds": rounds, "versions": versions, "int8_quality": quality}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    report = json.dumps(as_json(tasks, results, more), indent=2)
    args.json.write_text(report + "\n", encoding="utf-8")
    print_report(tasks, list(versions), results, quality)


def print_report(
    tasks: list[Task], engines: list[str], results: Results, quality: dict[str, Any]
) -> None:
    print(" · ".join(map(str, machine().values())))
    for title in TABLES:
        rows = [task for task in tasks if task.table == title]
        names = [name for name in engines if any(results.of(task.name, name) for task in rows)]
        print(f"\n{table(title, rows, names, results)}")
    print(f"\n{ratio_table(results)}\n")
    if quality:
        print("int8 against float32, {positions} positions: KL divergence {mean_kl:.2g} nats "
              "(largest {largest_kl:.2g}), same best id at {same_best:.0%}, "
              "entropy {entropy:.1f} nats".format(**quality))
    busy = results.all_busy()
    disturbed = sum(cores > MAX_BUSY_CORES for cores in busy)
    print(f"Other processes kept {spread(busy)} cores busy; more than {MAX_BUSY_CORES} during "
          f"{disturbed} of {len(busy)} figures")


def generated_model(folder: Path) -> Path:
    """The full-size checkpoint, generated on first use."""
    if not (folder / ".ready").exists():
        log(f"Generating the full-size checkpoint in {folder} (4 GB, once) ...")
        script = ROOT / "tools" / "make_checkpoint.py"
        subprocess.run(
            [sys.executable, str(script), str(folder), "--size", "full"], check=True,
            stdout=subprocess.DEVNULL)
        (folder / ".ready").touch()
    return folder


def engine_commands(model_dir: Path, peer: str) -> dict[str, list[str]]:
    """Engine -> the command line of its worker."""
    def command(python: str, module: str, *options: str) -> list[str]:
        return [python, "-m", f"benchmarks.{module}", str(model_dir), *options]

    return {
        FLOAT: command(sys.executable, "ours", "--quantize", "none"),
        INT8: command(sys.executable, "ours", "--quantize", "int8"),
        TORCH: command(peer, "pytorch", "--dtype", "float32"),
        BFLOAT16: command(peer, "pytorch", "--dtype", "bfloat16"),
        LLAMA: command(peer, "llama"),
    }


if __name__ == "__main__":
    main()
