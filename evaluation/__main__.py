"""Evaluate a model that speaks English: python -m evaluation --model_dir DIR

Needs Debian's flite (the reference synthesizer), pocketsphinx (speech recognition) and pystoi.
Exit status: 0 if all limits are kept, 1 if one is not, 2 for an error.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from cli.common import Parser, deprecated_flag, run_command
from sparktts_ms.errors import InputError


def build_parser() -> Parser:
    parser = Parser(prog="python -m evaluation",
                    description="Objective metrics of a model that speaks English.")
    parser.add_argument("--model_dir", type=Path, metavar="DIR",
                        default=Path("pretrained_models/Spark-TTS-demo"))
    parser.add_argument("--output_dir", type=Path, metavar="DIR", default=Path("build/evaluation"),
                        help="reference recordings, metrics.json and levels.png")
    parser.add_argument("--sentences", type=int, default=60, metavar="N",
                        help="held-out sentences, each in four voices")
    parser.add_argument("--task", choices=("codec", "cloning", "control"),
                        help="only this task (the codec's is always part of it)")
    parser.add_argument("--quantize", choices=("none", "int8", "int4"), default="none")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=0)
    deprecated_flag(parser, "--out", "--output_dir")
    deprecated_flag(parser, "--only", "--task")
    return parser


def main() -> int:
    args = build_parser().parse_args()
    passed = []

    def command() -> None:
        passed.append(run(args))

    status = run_command(command, interrupted="Interrupted; nothing was evaluated.")
    return status or int(not passed[0])


def run(args: argparse.Namespace) -> bool:
    """Evaluate, print and write the metrics. Returns whether all limits are kept."""
    _check_requirements()
    from evaluation import evaluate
    from sparktts_ms import Sampling, Service, SparkTTS

    def sampling(index: int) -> Sampling:
        return Sampling(temperature=args.temperature, seed=args.seed + index, max_new_tokens=600)

    start = time.time()
    tts = SparkTTS.from_pretrained(args.model_dir, quantize=args.quantize)
    references = evaluate.synthesize_references(args.output_dir / "reference", args.sentences)
    metrics, reference_wer = evaluate.evaluate_codec(tts, references, _progress("codec"))
    with Service(tts) as service:
        if args.task in (None, "cloning"):
            for with_transcript in (False, True):
                metrics += evaluate.evaluate_cloning(service, references, reference_wer, sampling,
                                                     with_transcript, _progress("cloning"))
        if args.task in (None, "control"):
            sentences = references[::4]     # each sentence once
            found, utterances = evaluate.evaluate_control(
                service, sentences, sampling, _progress("control"))
            metrics += found
            _plot(args.output_dir / "levels.png", utterances)
    print_table(metrics)
    values = {metric.name: float(metric.value) for metric in metrics}
    (args.output_dir / "metrics.json").write_text(json.dumps(values, indent=1) + "\n")
    seconds = time.time() - start
    print(f"\n{args.sentences} sentences, {seconds:.0f} s; recordings, metrics and plot are in "
          f"{args.output_dir}", file=sys.stderr)
    return all(metric.passed is not False for metric in metrics)


def print_table(metrics: list) -> None:
    """Print a table in Markdown."""
    print("| metric | measured | limit | |\n|---|---:|---:|---|")
    for metric in metrics:
        unit = f" {metric.unit}" if metric.unit else ""
        limit = ""
        verdict = ""
        if metric.limit is not None:
            limit = f"{'≥' if metric.higher_is_better else '≤'} {metric.limit:.4g}{unit}"
            verdict = "passed" if metric.passed else "failed"
        print(f"| {metric.name} | {metric.value:.4g}{unit} | {limit} | {verdict} |")


def _check_requirements() -> None:
    if shutil.which("flite") is None:
        raise InputError("flite, the reference synthesizer, is not installed.", "apt install flite")
    try:
        import pocketsphinx  # noqa: F401
        import pystoi  # noqa: F401
    except ImportError as missing:
        name = missing.name
        raise InputError(f"{name} is not installed.", f"pip install {name}") from None


def _progress(description: str):
    from tqdm import tqdm

    def wrap(items):
        return tqdm(items, desc=description, disable=None)

    return wrap


def _plot(path: Path, utterances: list) -> None:
    try:
        from evaluation.plot import plot_control
        plot_control(path, utterances)
    except ImportError:
        print("No plot of the levels: pip install matplotlib", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
