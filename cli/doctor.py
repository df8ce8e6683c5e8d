"""Check this machine, above all an Ascend device: python -m cli.doctor

It prints one screen and writes, on request, a JSON file for an issue.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cli.common import RELEASED_MODEL, Parser, path_argument, run_command
from sparktts_ms.doctor.diagnosis import Diagnosis, Doctor, save_settings
from sparktts_ms.doctor.process import Context
from sparktts_ms.doctor.report import render
from sparktts_ms.errors import ModelError
from sparktts_ms.files import atomic_write

DEMO_MODEL = Path("pretrained_models/Spark-TTS-demo")


def build_parser() -> Parser:
    parser = Parser(
        prog="python -m cli.doctor",
        description="Check this machine: versions, every network on the device against reference "
                    "outputs, speed, and which settings of operators are the fastest that are "
                    "right. Exit status 1: something that is needed is not right.")
    parser.add_argument("--model_dir", type=path_argument, metavar="DIR",
                        help="model directory (default: the released model if it is there, or "
                             "else the demo model)")
    parser.add_argument("--device_target", choices=("auto", "Ascend", "CPU"), default="auto",
                        help="auto: Ascend where there is one")
    parser.add_argument("--device", type=int, default=0, metavar="N",
                        help="number of the Ascend device")
    parser.add_argument("--json", type=path_argument, metavar="FILE",
                        help="write everything that was found to this file, for an issue")
    parser.add_argument("--apply", action="store_true",
                        help="keep the fastest settings that are right, for all commands: in "
                             "~/.config/sparktts_ms/ascend.json, or the file that the environment "
                             "variable SPARKTTS_ASCEND_SETTINGS names")
    parser.add_argument("--time_limit", type=positive, default=300.0, metavar="SECONDS",
                        help="what does not fit is skipped (default: %(default)s)")
    parser.add_argument("--save_reference", action="store_true",
                        help="only compute the reference outputs on the CPU and store them in the "
                             "model directory, so that later runs need not")
    return parser


def positive(value: str) -> float:
    seconds = float(value)
    if not 0 < seconds < float("inf"):
        raise ValueError
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0: right, 1: not right, 2: error, 130: Ctrl-C."""
    args = build_parser().parse_args(arguments)
    status = 0

    def command() -> None:
        nonlocal status
        status = run(args)

    return run_command(command, "Interrupted.") or status


def run(args: argparse.Namespace) -> int:
    model_dir = args.model_dir or default_model()
    if not model_dir.is_dir():
        raise ModelError("The model directory {subject} does not exist.", subject=model_dir,
                         code="no_model_dir")
    context = Context(str(model_dir.resolve()), args.device_target, args.device)
    doctor = Doctor(context, args.time_limit)
    if args.save_reference:
        print(doctor.save_reference())
        return 0
    found = doctor.diagnose()
    print(render(found))
    if args.json:
        write_json(args.json, found)
    if args.apply:
        apply(found)
    return 0 if found.right else 1


def apply(found: Diagnosis) -> None:
    """Keep the best settings, if the networks that they do not concern are right, too."""
    if found.best is None or not all(result.ok for result in found.networks):
        print("No settings were written, because not everything is right on an Ascend device.",
              file=sys.stderr)
    else:
        print(f"The settings were written to {save_settings(found)}.", file=sys.stderr)


def default_model() -> Path:
    """The released model if it is there, or else the demo model."""
    return RELEASED_MODEL if RELEASED_MODEL.is_dir() else DEMO_MODEL


def write_json(path: Path, found: Diagnosis) -> None:
    with atomic_write(path, overwrite=True) as file:
        file.write((json.dumps(found.as_json(), indent=2) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
