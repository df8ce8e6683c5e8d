"""Judge a model by numbers: python -m evaluation --model_dir pretrained_models/Spark-TTS-demo

Needs Debian's flite (the teacher) and pocketsphinx (the recogniser). Exit status 1 if a limit is missed.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

from cli.common import Parser, run_command
from sparktts_ms.errors import InputError


def parser() -> Parser:
    p = Parser(prog="python -m evaluation", description="Word error rates, voices and labels of a model that speaks English.")
    p.add_argument("--model_dir", type=Path, default=Path("pretrained_models/Spark-TTS-demo"))
    p.add_argument("--out", type=Path, default=Path("build/evaluation"), metavar="DIR", help="recordings, figures and pictures")
    p.add_argument("--sentences", type=int, default=60, help="held-out sentences, each in four voices")
    p.add_argument("--only", choices=("codec", "cloning", "control"), help="one of the three questions")
    p.add_argument("--quantize", choices=("none", "int8"), default="none")
    p.add_argument("--temperature", type=float, default=0.8)
    p.add_argument("--seed", type=int, default=0)
    return p


def main() -> int:
    args, status = parser().parse_args(), []
    return run_command(lambda: status.append(run(args)), interrupted="Interrupted; nothing was judged.") or status[0]


def run(args) -> int:
    if shutil.which("flite") is None:
        raise InputError("flite, which reads the sentences to compare with, is not installed: apt install flite")
    try:
        import pocketsphinx  # noqa: F401
        import pystoi  # noqa: F401
    except ImportError as missing:
        raise InputError(f"{missing.name}, which judges speech, is not installed: pip install {missing.name}") from None
    from tqdm import tqdm

    from evaluation.evaluate import judge_cloning, judge_codec, judge_control, read_aloud
    from sparktts_ms import Sampling, Service, SparkTTS

    began = time.time()
    tts = SparkTTS.from_pretrained(args.model_dir, quantize=args.quantize)
    readings = read_aloud(args.out / "teacher", args.sentences)
    figures = judge_codec(tts, readings, lambda items: tqdm(items, desc="codec", disable=None))
    teacher = figures[0].value
    if args.only != "codec":
        with Service(tts) as service:
            def sampling(n):
                return Sampling(temperature=args.temperature, seed=args.seed + n, max_new_tokens=600)

            def bar(items):
                return tqdm(items, desc="speech", disable=None)
            for transcript in (False, True) if args.only != "control" else ():
                figures += judge_cloning(service, tts, readings, teacher, sampling, transcript, bar)
            if args.only != "cloning":
                texts = [(r.text, r.spoken) for r in readings[::4]]
                found, told = judge_control(service, texts, sampling, bar)
                figures += found
                draw_labels(args.out / "labels.png", told)
    report(figures)
    (args.out / "figures.json").write_text(json.dumps({f.name: float(f.value) for f in figures}, indent=1) + "\n")
    print(f"\n{args.sentences} sentences, {time.time() - began:.0f} s; figures and pictures in {args.out}", file=sys.stderr)
    return 1 if any(f.met is False for f in figures) else 0


def draw_labels(path: Path, told) -> None:
    try:
        from evaluation.plot import draw
        draw(path, told)
    except ImportError:
        print("No picture of the labels: pip install matplotlib", file=sys.stderr)


def report(figures) -> None:
    """A table in Markdown."""
    print("| figure | measured | limit | |\n|---|---:|---:|---|")
    for f in figures:
        limit = "" if f.limit is None else f"{'at most' if f.less else 'at least'} {f.limit:.4g}{f.unit and ' ' + f.unit}"
        verdict = "" if f.met is None else "met" if f.met else "missed"
        print(f"| {f.name} | {f.value:.4g}{f.unit and ' ' + f.unit} | {limit} | {verdict} |")


if __name__ == "__main__":
    sys.exit(main())
