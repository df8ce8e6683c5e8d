"""MindSpore ONE's networks on the stand-in for CANN, beside ours: python -m tools.ascend_peer

Counts what Qwen2 and wav2vec 2.0 of mindone 0.5.0 ask of an Ascend device at the released size, as
tools.ascend_rehearsal does for ours; its --help explains the columns. Prints a table and writes
.cache/ascend-peer.json. `make ascend-peer` sets up the environment of its own that mindone gets.

    example_step    one token at 400 positions as MindSpore ONE's Spark-TTS example calls it: all
                    positions again for each token, eager attention, float32, PyNative
    best_step       one token at 400 positions in the fastest of its settings that run with this
                    MindSpore: dynamic cache, flash_attention_2, bfloat16, PyNative
    wav2vec2        2.5 s of sound through its 24 layers, float32, PyNative
    ours: ...       decode_step and wav2vec2 of this tree

Its PyNative operators are launched one after the other (`launch_blocking`) while it is timed, which
is faster than its pipeline of threads on few cores, and while its calls are counted they are not.
Operators on a few elements compute here: on their results depends what its Python code does.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.__main__ import generated_model
from tools.ascend_process import ROOT, Worker, WorkerError, standin_environment
from tools.ascend_rehearsal import add_times, count_calls, table, worker_command

PEER = ("example_step", "best_step", "wav2vec2")
OURS = ("decode_step", "wav2vec2")
RESULTS = ROOT / ".cache" / "ascend-peer.json"
COMPUTE_LIMIT = "1024"          # elements


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.ascend_peer", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer_python", default=sys.executable,
                        help="the Python that has mindone")
    parser.add_argument("--sections", nargs="+", choices=PEER, default=PEER, metavar="SECTION",
                        help=f"of the peer, out of {', '.join(PEER)}")
    parser.add_argument("--capture", action="store_true", help="ours with kernel-launch capture")
    parser.add_argument("--rounds", type=int, default=5, help="of timing; 0: only count")
    parser.add_argument("--json", type=Path, default=RESULTS, help="write everything here")
    args = parser.parse_args()
    python = shutil.which(args.peer_python)
    if python is None:
        parser.error(f"{args.peer_python} is not a program; --peer_python names a Python.")
    try:
        sections = run(str(Path(python).absolute()), args)
    except WorkerError as error:
        sys.exit(f"error: {error}")
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(sections, indent=2) + "\n", encoding="utf-8")
    print(table(sections, ("launches", "aclop", "h2d", "d2h", "d2d", "syncs", "host_ms")))


def run(python: str, args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Section -> figures; those of ours are called "ours: SECTION"."""
    standin = standin_environment()
    peer_standin = {**standin, "STANDIN_COMPUTE_LIMIT": COMPUTE_LIMIT, "STANDIN_LIMITS": "0"}
    model_dir = generated_model(ROOT / ".cache" / "full-model").resolve()
    ours_command = worker_command(ROOT, model_dir, "graph", "bfloat16", args.capture)
    peer_command = [python, "-m", "tools.ascend_peer_worker"]
    with ExitStack() as stack:
        ours = stack.enter_context(Worker("ours", ours_command, standin))
        our_turns = [(ours, section) for section in OURS]
        with Worker("mindone", peer_command, peer_standin) as peer:
            results = count_calls([*((peer, section) for section in args.sections), *our_turns])
        peer = stack.enter_context(
            Worker("mindone", [*peer_command, "--blocking"], peer_standin))
        add_times(results, [*((peer, section) for section in args.sections), *our_turns],
                  args.rounds)
    sections = dict(results["mindone"])
    for name, figures in results["ours"].items():
        sections[f"ours: {name}"] = figures
    return sections


if __name__ == "__main__":
    main()
