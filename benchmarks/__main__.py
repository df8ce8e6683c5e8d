"""This package beside PyTorch and llama.cpp at the released dimensions: python -m benchmarks

Generates the full-size checkpoint once (4 GB, in .cache, random weights of the released shapes). Each engine is a process
of its own; they measure in turns, so that what else the machine does falls on all alike. An engine that is not installed is
left out. Still, run it on a quiet machine.
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
    CLONING,
    COMMAND,
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
    groups,
)
from benchmarks.report import as_json, machine, ratio_table, spread, table
from benchmarks.turns import QUIET, measure_everything, say
from benchmarks.worker import ROOT


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--model_dir", type=Path, help="measure this model instead of the generated one")
    parser.add_argument("--peer_python", default=sys.executable, help="the Python that has PyTorch and llama-cpp-python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds, no long utterances")
    parser.add_argument("--json", type=Path, default=ROOT / ".cache" / "bench.json", help="write everything here")
    args = parser.parse_args()
    peer = shutil.which(args.peer_python)
    if peer is None:
        parser.error(f"{args.peer_python} is not a program; --peer_python names a Python.")
    model_dir = (args.model_dir or generated_model(ROOT / ".cache" / "full-model")).resolve()
    rounds = min(args.rounds, 2) if args.quick else args.rounds
    plan, results = groups(args.quick), Results()
    versions, quality = measure_everything(engines(model_dir, str(Path(peer).absolute())), plan, rounds, results)
    rows = [LOADING, FIRST_RECORDING, *(task for group in plan for task in group), MEMORY, CLONING, COMMAND, GRAPHS]
    args.json.parent.mkdir(parents=True, exist_ok=True)
    everything = as_json(rows, results, {"rounds": rounds, "versions": versions, "int8_quality": quality})
    args.json.write_text(json.dumps(everything, indent=2) + "\n", encoding="utf-8")
    show(rows, list(versions), results, quality)


def show(rows: list[Task], workers: list[str], results: Results, quality: dict[str, Any]) -> None:
    print(" · ".join(map(str, machine().values())))
    for title in TABLES:
        chosen = [task for task in rows if task.table == title]
        names = [name for name in workers if any(results.of(task.name, name) for task in chosen)]
        print(f"\n{table(title, chosen, names, results)}")
    print(f"\n{ratio_table(results)}\n")
    if quality:
        print("int8 against float32, {positions} positions: KL divergence {mean_kl:.2g} nats (largest {largest_kl:.2g}), "
              "same best id at {same_best:.0%}, entropy {entropy:.1f} nats".format(**quality))
    busy = results.all_busy()
    print(f"Other processes kept {spread(busy)} cores busy; more than {QUIET} during {sum(cores > QUIET for cores in busy)} "
          f"of {len(busy)} figures")


def generated_model(folder: Path) -> Path:
    """The full-size checkpoint, made on first use."""
    if not (folder / ".ready").exists():
        say(f"Generating the full-size checkpoint in {folder} (4 GB, once) ...")
        subprocess.run([sys.executable, str(ROOT / "tools" / "make_checkpoint.py"), str(folder), "--size", "full"],
                       check=True, stdout=subprocess.DEVNULL)
        (folder / ".ready").touch()
    return folder


def engines(model_dir: Path, peer: str) -> dict[str, list[str]]:
    """Worker -> its command line."""
    def command(python: str, module: str, *options: str) -> list[str]:
        return [python, "-m", f"benchmarks.{module}", str(model_dir), *options]

    return {FLOAT: command(sys.executable, "ours", "--weights", "float"),
            INT8: command(sys.executable, "ours", "--quantize", "int8"),
            TORCH: command(peer, "pytorch", "--dtype", "float32"),
            BFLOAT16: command(peer, "pytorch", "--dtype", "bfloat16"),
            LLAMA: command(peer, "llama")}


if __name__ == "__main__":
    main()
