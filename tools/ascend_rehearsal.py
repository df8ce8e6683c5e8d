"""What the networks ask of an Ascend device, counted without one: python -m tools.ascend_rehearsal

Runs each section of the model at the released size with MindSpore's own Ascend backend, on the
stand-in for CANN of tests/ascend, which records every call and computes nothing here. Prints a
table and writes .cache/ascend-rehearsal.json (section -> column -> figure).

    launches    kernel launches
    aclop       of them operators that CANN compiles online, once for each shape
    h2d, d2h    copies from host to device and from device to host
    d2d_bytes   bytes copied from device to device
    syncs       times that the host waited for a stream, the device or an event
    host_ms     time of the host, in milliseconds: from the arguments to the results on the host;
                the median over the rounds of the median of a round

The counts hold for a device, too. host_ms does not: it is what Python, MindSpore and the stand-in
need on this machine, where a launch does no work. It is good for comparing two revisions, which
--against measures in turns: `ratio` is host_ms of this tree divided by that of the other.

decode_step is one token of one sequence at 400 positions, decode_step_16 of 16 sequences, and
prefill_chunk 64 positions of a prompt. The encoders get 2 s to 6 s of sound, prenet and wave
generator 60 frames (1.2 s).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.__main__ import generated_model
from tools.ascend_process import ROOT, Worker, WorkerError, log, standin_environment

SECTIONS = ("decode_step", "decode_step_16", "prefill_chunk", "speaker_encoder", "wav2vec2",
            "semantic_encoder", "prenet", "wave_generator")
RESULTS = ROOT / ".cache" / "ascend-rehearsal.json"
COLUMNS = ("launches", "aclop", "h2d", "d2h", "d2d_bytes", "syncs", "host_ms")
STEPS = 5                       # timed calls of a section in a round
Figures = dict[str, Any]        # column -> figure, or "error" -> message
Turn = tuple[Worker, str]       # who measures which section


def main() -> None:
    args = parse_arguments()
    try:
        run(args)
    except WorkerError as error:
        sys.exit(f"error: {error}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.ascend_rehearsal", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model_dir", type=Path, help="this model instead of the generated one of released size")
    parser.add_argument("--mode", choices=("graph", "pynative"), default="graph")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16",
                        help="of the language model")
    parser.add_argument("--capture", action="store_true", help="with kernel-launch capture")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS,
                        metavar="SECTION", help=f"out of {', '.join(SECTIONS)}")
    parser.add_argument("--rounds", type=int, default=5, help="of timing; 0: only count")
    parser.add_argument("--against", metavar="REV", help="another git revision, in turns")
    parser.add_argument("--operators", action="store_true",
                        help="also list the launches of each section by operator")
    parser.add_argument("--json", type=Path, default=RESULTS, help="write everything here")
    return parser.parse_args()


def run(args: argparse.Namespace) -> None:
    environment = standin_environment()
    model_dir = (args.model_dir or generated_model(ROOT / ".cache" / "full-model")).resolve()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        trees = {"this": ROOT}
        if args.against:
            trees[args.against] = checked_out(args.against, Path(folder))
        workers = []
        for name, tree in trees.items():
            capture = args.capture and name == "this"
            command = worker_command(tree, model_dir, args.mode, args.dtype, capture)
            # An older revision may launch what the documents of CANN exclude.
            limits = {"STANDIN_LIMITS": "1" if name == "this" else "0"}
            workers.append(
                stack.enter_context(Worker(name, command, {**environment, **limits})))
        turns = [(worker, section) for section in args.sections for worker in workers]
        results = count_calls(turns)
        write_report(args, model_dir, results)      # timing takes minutes more
        add_times(results, turns, args.rounds)
    write_report(args, model_dir, results)
    for name, sections in results.items():
        title = "This tree" if name == "this" else f"Revision {name}"
        print(f"\n{title}, {args.mode} mode, {args.dtype}\n{table(sections)}")
        if args.operators:
            print(operator_list(sections))
    if any("error" in figures for figures in results["this"].values()):
        sys.exit("error: not every section ran; see above.")


def write_report(args: argparse.Namespace, model_dir: Path,
                 results: dict[str, dict[str, Figures]]) -> None:
    """Write the JSON file: this tree's sections, "about", and the sections "against"."""
    about = {"mode": args.mode, "dtype": args.dtype, "capture": args.capture,
             "rounds": args.rounds, "model_dir": model_dir.name}
    report: dict[str, Any] = {**results["this"], "about": about}
    if args.against:
        add_ratios(results["this"], results[args.against])
        report["against"] = {"revision": args.against, **results[args.against]}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def worker_command(tree: Path, model_dir: Path, mode: str, dtype: str, capture: bool) -> list[str]:
    """The command line of the process that runs the networks of `tree`."""
    command = [sys.executable, "-m", "tools.ascend_worker", str(tree), str(model_dir), mode, dtype]
    return [*command, "--capture"] if capture else command


def checked_out(revision: str, folder: Path) -> Path:
    """The files of a git revision in `folder`."""
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True)
    if archive.returncode:
        message = archive.stderr.decode().strip().splitlines()
        raise WorkerError(f"git has no revision {revision}: {message[-1] if message else ''}")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


def count_calls(turns: list[Turn]) -> dict[str, dict[str, Figures]]:
    """Name of the worker -> section -> counts, for the workers and sections in `turns`."""
    results: dict[str, dict[str, Figures]] = {}
    for worker in dict.fromkeys(worker for worker, _ in turns):
        sections = [section for owner, section in turns if owner is worker]
        results[worker.name] = {section: worker.count(section) for section in sections}
    return results


def add_times(results: dict[str, dict[str, Figures]], turns: list[Turn], rounds: int) -> None:
    """Time every section once in each round: in the order of `turns`, or in reverse in every other
    round."""
    turns = [turn for turn in turns if "error" not in results[turn[0].name][turn[1]]]
    times: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds):
        log(f"Timing, round {number + 1} of {rounds} ...")
        for worker, section in turns[::-1 if number % 2 else 1]:
            milliseconds = worker.time(section, STEPS)
            times.setdefault((worker.name, section), []).append(statistics.median(milliseconds))
    for (name, section), medians in times.items():
        results[name][section]["host_ms"] = round(statistics.median(medians), 2)
        results[name][section]["host_ms_min"] = round(min(medians), 2)


def add_ratios(sections: dict[str, Figures], others: dict[str, Figures]) -> None:
    for name, figures in sections.items():
        other = others[name].get("host_ms")
        if other and "host_ms" in figures:
            figures["ratio"] = round(figures["host_ms"] / other, 3)


def table(sections: dict[str, Figures], columns: Sequence[str] = COLUMNS) -> str:
    """The figures as text, a row for each section."""
    if any("ratio" in figures for figures in sections.values()):
        columns = [*columns, "ratio"]
    width = max(map(len, ("section", *sections)))
    lines = [" ".join([f"{'section':{width}}", *(f"{name:>12}" for name in columns)])]
    for section, figures in sections.items():
        if "error" in figures:
            lines.append(f"{section:{width}} {figures['error']}")
            continue
        cells = [figures.get(name, "") for name in columns]
        lines.append(" ".join([f"{section:{width}}", *(f"{cell:>12,}" if cell != "" else " " * 12
                                                       for cell in cells)]))
    return "\n".join(lines)


def operator_list(sections: dict[str, Figures]) -> str:
    lines = []
    for section, figures in sections.items():
        operators = sorted(figures.get("operators", {}).items(), key=lambda item: -item[1])
        lines.append(f"{section}: " + ", ".join(f"{count} {name}" for name, count in operators))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
