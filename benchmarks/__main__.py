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
from typing import TYPE_CHECKING

from benchmarks.command_line import CommandError
from benchmarks.long_text import CHARACTERS, growth_line
from benchmarks.plan import (
    BFLOAT16,
    CLONE_MEMORY,
    COMMAND,
    COMMAND_MEMORY,
    FIRST_RECORDING,
    GRAPHS,
    INT4,
    INT8,
    LIMITS,
    LLAMA,
    LLAMA_Q4_0,
    LLAMA_Q4_K_M,
    LOADING,
    LONG_MEMORY,
    LONG_TEXT,
    MEMORY,
    OURS,
    TABLES,
    TORCH,
    Results,
    Task,
    float_of,
    int8_of,
    task_groups,
)
from benchmarks.report import as_json, machine, ratio_table, spread, table
from benchmarks.revision import RevisionError, checked_out
from benchmarks.runner import MAX_BUSY_CORES, Measured, OurEngine, log, measure_long, run_all
from benchmarks.selection import SelectionError, select
from benchmarks.targets import target_table, targets, targets_as_json
from benchmarks.worker import ROOT
from sparktts_ms.config_files import read_config
from sparktts_ms.errors import SparkTTSError

if TYPE_CHECKING:
    from benchmarks.limits import Limits


def main() -> None:
    parser = argument_parser()
    args = parser.parse_args()
    peer = shutil.which(args.peer_python)
    if peer is None:
        parser.error(f"{args.peer_python} is not a program; --peer_python names a Python.")
    if args.model_dir is not None and not args.model_dir.is_dir():
        parser.error(f"--model_dir {args.model_dir} is no folder.")
    groups = task_groups(args.quick, args.against)
    try:
        selection = select(args.only, groups, targets(args.against), args.against)
        against = checked_out(args.against) if args.against else None
        model_dir = (args.model_dir or generated_model(ROOT / ".cache" / "full-model")).resolve()
        read_config(model_dir)                  # raises for a folder that is no model
        ours = our_engines(model_dir, args.against, against)
        peers = peer_commands(model_dir, str(Path(peer).absolute()))
        rounds = min(args.rounds, 2) if args.quick else args.rounds
        results = Results()
        measured = Measured()
        stages = bool(args.only) or not args.long
        if stages:
            measured = run_all(ours, peers, groups, rounds, selection, results)
        if args.long:
            engines = [INT4] if args.against is None else [INT4, int8_of(args.against)]
            measure_long(ours, engines, args.model_dir is None, results, measured)
    except (CommandError, RevisionError, SelectionError, SparkTTSError) as error:
        sys.exit(f"error: {error}")
    limits = None
    if stages and (measured.bytes_read or selection.has(LIMITS)):
        from benchmarks.limits import measure_limits  # late: it loads MindSpore

        log("The machine's peak ...")
        limits = measure_limits(model_dir, measured.bytes_read, results)
    tasks = [LOADING, COMMAND, FIRST_RECORDING]
    for group in groups:
        tasks += group
    tasks += [MEMORY, CLONE_MEMORY, COMMAND_MEMORY, GRAPHS, LONG_TEXT, LONG_MEMORY]
    more = {
        "rounds": rounds, "against": args.against, "versions": measured.versions,
        "int8_quality": measured.quality.get(INT8, {}),
        "int4_quality": measured.quality.get(INT4, {}), "long_text_memory_growth": measured.growth,
        "targets": targets_as_json(args.against, results),
        "limits": None if limits is None else limits.as_json()}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    report = json.dumps(as_json(tasks, results, more, args.against), indent=2)
    args.json.write_text(report + "\n", encoding="utf-8")
    print_report(tasks, list(ours), list(peers), results, measured, args.against, limits,
                 whole=not args.only and not args.long)


def argument_parser() -> argparse.ArgumentParser:
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
        "--against", metavar="REV", help="also measure this git revision, in the same turns")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME",
        help="only these tasks (or the beginning of their names, as decode) and targets (or a part "
             "of their names)")
    parser.add_argument(
        "--long", action="store_true",
        help=f"a text of {CHARACTERS:,} characters, in int4 and by --against in int8; nothing else "
             "without --only")
    parser.add_argument(
        "--json", type=Path, default=ROOT / ".cache" / "bench.json", help="write everything here")
    return parser


def print_report(tasks: list[Task], ours: list[str], peers: list[str], results: Results,
                 measured: Measured, against: str | None, limits: Limits | None,
                 whole: bool) -> None:
    """whole: nothing was left out."""
    print(" · ".join(map(str, machine().values())))
    for title in TABLES:
        rows = [task for task in tasks if task.table == title]
        for group in (ours, peers):                     # side by side they would be too wide
            names = [name for name in group if any(results.of(task.name, name) for task in rows)]
            if names:
                print(f"\n{table(title, rows, names, results)}")
    for name, growth in measured.growth.items():
        print(growth_line(name, growth))
    ratios = ratio_table(results, against)
    if ratios:
        print(f"\n{ratios}")
    if limits is not None:
        print(f"\n{limits.table()}")
    reached = target_table(against, results, whole)
    print(f"\n{reached}\n" if reached else "")
    for name, quality in measured.quality.items():
        print("{name} against float32, {positions} positions: KL divergence {mean_kl:.2g} nats "
              "(largest {largest_kl:.2g}), same best id at {same_best:.0%}, "
              "entropy {entropy:.1f} nats".format(name=name, **quality))
    busy = results.all_busy()
    if busy:
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


def our_engines(model_dir: Path, revision: str | None, folder: Path | None) -> dict[str, OurEngine]:
    """Ours, and those of another revision, whose files are in `folder`."""
    engines = {name: OurEngine(ROOT, model_dir, quantize)
               for name, quantize in zip(OURS, ("none", "int8", "int4"), strict=True)}
    if revision is not None and folder is not None:
        engines[float_of(revision)] = OurEngine(folder, model_dir, "none")
        engines[int8_of(revision)] = OurEngine(folder, model_dir, "int8")
    return engines


def peer_commands(model_dir: Path, peer: str) -> dict[str, list[str]]:
    """Engine -> the command line of its worker."""
    def command(module: str, *options: str) -> list[str]:
        return [peer, "-m", f"benchmarks.{module}", str(model_dir), *options]

    return {
        TORCH: command("pytorch", "--dtype", "float32"),
        BFLOAT16: command("pytorch", "--dtype", "bfloat16"),
        LLAMA: command("llama", "--kind", "Q8_0"),
        LLAMA_Q4_0: command("llama", "--kind", "Q4_0"),
        LLAMA_Q4_K_M: command("llama", "--kind", "Q4_K_M"),
    }


if __name__ == "__main__":
    main()
