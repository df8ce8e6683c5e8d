"""Many lines of text to files: python -m cli.batch --input lines.jsonl --output DIR

A line is a JSON object: {"id": "a1", "text": "Hello.", "voice": "alloy"}. DIR/manifest.jsonl gets
an entry for each line that is done or has failed. The same command goes on where a run stopped.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.common import (
    Parser,
    add_model_arguments,
    add_sampling_arguments,
    load_model,
    path_argument,
    print_result,
    run_command,
)
from cli.inference import level_or_number
from cli.signals import exit_on_signals
from sparktts_ms.errors import InputError, ModelError
from sparktts_ms.generation.attributes import LEVELS

if TYPE_CHECKING:
    from sparktts_ms.batch.line import Defaults
    from sparktts_ms.batch.progress import Progress
    from sparktts_ms.batch.work import Workers

INTERRUPTED = "Interrupted; the same command goes on with the lines that are not done."
FAILED = 1                  # exit status
REPORT_SECONDS = 30.0       # between lines on stderr, where it is no terminal
BAR_SECONDS = 0.2
VOICE = ("voice", "prompt_speech_path", "prompt_text", "gender", "pitch", "speed")
SAMPLING = ("temperature", "top_k", "top_p", "max_new_tokens", "min_new_tokens")
HINTS = {
    "output_in_use": "Wait until it ends, or choose another --output.",
    "other_settings": "Repeat its settings (settings.json has them), or choose another --output.",
    "changed_line": "Give it another id, or choose another --output.",
}


def build_parser() -> Parser:
    parser = Parser(prog="python -m cli.batch",
                    description="Many lines of text to audio files, for datasets and audiobooks.")
    files = parser.add_argument_group("files")
    files.add_argument("--input", required=True, metavar="FILE",
                       help="JSON Lines (text, id, voice, ...: docs/scaling.md); - is stdin")
    files.add_argument("--output", type=path_argument, required=True, metavar="DIR",
                       help="folder for the audio files and manifest.jsonl")
    files.add_argument("--format", choices=("wav", "flac"), default="wav",
                       help="of the audio files: 16 kHz, 16 bits")
    files.add_argument("--retry_failed", action="store_true",
                       help="do lines again that failed in an earlier run")
    voice = parser.add_argument_group("voice and style of lines that give none")
    voice.add_argument("--voices", type=path_argument, default=Path("voices"), metavar="DIR",
                       help="folder of saved voices, whose names lines may give")
    voice.add_argument("--voice", metavar="NAME|FILE",
                       help="name of a saved or built-in voice, or a file of --save_voice")
    voice.add_argument("--prompt_speech_path", metavar="FILE", help="a recording of the voice")
    voice.add_argument("--prompt_text", metavar="TEXT", help="transcript of the recording")
    voice.add_argument("--gender", choices=("male", "female"),
                       help="of a voice that is generated, another one for each line")
    voice.add_argument("--pitch", type=level_or_number, metavar="LEVEL|HZ",
                       help=f"{', '.join(LEVELS)}; or the median in Hz, as 180")
    voice.add_argument("--speed", type=level_or_number, metavar="LEVEL|RATE",
                       help="the same levels; or syllables per second, as 4.5")
    add_model_arguments(parser)
    add_sampling_arguments(parser)
    parser.set_defaults(seed=0)
    many = parser.add_argument_group("many devices")
    many.add_argument("--ray", nargs="?", const="", metavar="ADDRESS",
                      help="a Ray cluster: HOST:PORT; local: one of this machine's own; without "
                           "ADDRESS the one that Ray finds, else local")
    many.add_argument("--workers", type=_count, metavar="N",
                      help="with --ray: how many (default: one for each NPU, without NPUs one for "
                           "each machine)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(arguments)
    failed = 0

    def command() -> None:
        nonlocal failed
        failed = run(args)

    status = run_command(command, INTERRUPTED, HINTS)
    return status or (FAILED if failed else 0)


def run(args: argparse.Namespace) -> int:
    """Do all lines; returns how many failed, now or in an earlier run."""
    if args.workers is not None and args.ray is None:
        raise InputError("--workers is the number of workers on a Ray cluster.", "Add --ray.")
    if args.ray is None and not args.model_dir.is_dir():
        raise ModelError("The model directory {subject} does not exist.", subject=args.model_dir,
                         code="no_model_dir")
    with exit_on_signals():
        from sparktts_ms.batch.input_file import open_input
        from sparktts_ms.batch.output import open_output
        from sparktts_ms.batch.run import BatchRun
        from sparktts_ms.batch.voices import Voices
        from sparktts_ms.serving.voices.store import VoiceStore

    defaults = make_defaults(args)
    with open_input(args.input) as source, \
            open_output(args.output, args.format, run_settings(args, defaults)) as output:
        done, failed = output.index.count()
        if done or failed:
            logging.getLogger("sparktts_ms").info(
                "%s has %s lines that are done, %s that failed.", args.output, f"{done:,}",
                f"{failed:,}")
        with progress_display() as report:
            batch = BatchRun(source, defaults, output, Voices(VoiceStore(args.voices)),
                             lambda: open_workers(args), args.retry_failed, report)
            progress = batch.run()
    print(summary(progress), file=sys.stderr)
    print_result(args.output / "manifest.jsonl")
    return progress.failed + progress.failed_before


def make_defaults(args: argparse.Namespace) -> Defaults:
    """What lines leave out. Raises InputError for what no line could use."""
    from sparktts_ms.batch.line import Defaults, check_defaults

    fields = {name: getattr(args, name) for name in (*VOICE, *SAMPLING)
              if getattr(args, name) is not None}
    defaults = Defaults(fields, args.seed)
    check_defaults(defaults)
    return defaults


def run_settings(args: argparse.Namespace, defaults: Defaults) -> dict[str, Any]:
    """What the lines of an output folder depend on, besides themselves."""
    from sparktts_ms.batch.work import fingerprint

    return {"seed": defaults.seed, **{f"default_{name}": defaults.fields.get(name)
                                      for name in VOICE},
            **{name: defaults.fields[name] for name in SAMPLING},
            "model": fingerprint(args.model_dir), "dtype": args.dtype, "quantize": args.quantize}


def open_workers(args: argparse.Namespace) -> Workers:
    """This process's device, or those of a Ray cluster."""
    if args.ray is None:
        tts = load_model(args)
        from sparktts_ms.batch.synthesizer import Synthesizer

        return Synthesizer(tts, args.format)
    from sparktts_ms.batch.ray_workers import RayWorkers, model_options

    voice_cache = args.voice_cache or False
    if isinstance(voice_cache, Path):
        voice_cache = voice_cache.absolute()            # as the model's folder
    options = model_options(
        args.model_dir, device_target=args.device_target, mode=args.mode, dtype=args.dtype,
        quantize=args.quantize, capture=args.capture, voice_cache=voice_cache)
    return RayWorkers(args.ray or None, options, args.format, args.workers)


@contextmanager
def progress_display() -> Iterator[Any]:
    """A function that shows the progress: a bar on a terminal, else a line now and then."""
    from tqdm import tqdm

    with tqdm(total=1.0, disable=None, bar_format="{percentage:3.0f}%|{bar:20}| {desc}") as bar:
        shown = time.monotonic()
        interval = REPORT_SECONDS if bar.disable else BAR_SECONDS

        def report(progress: Progress) -> None:
            nonlocal shown
            if time.monotonic() - shown < interval:
                return
            shown = time.monotonic()
            if bar.disable:
                print(progress_text(progress), file=sys.stderr, flush=True)
            else:
                bar.n = progress.share or 0.0
                bar.set_description_str(progress_text(progress))

        yield report


def progress_text(progress: Progress) -> str:
    """Such as: 1,200 of about 10,000 lines, 3 failed, 4,812 s of speech, 12.5 s/s, 1:02:03 left."""
    lines = f"{progress.done + progress.done_before:,}"
    if progress.total_lines is not None:
        lines += f" of about {progress.total_lines:,}"
    parts = [f"{lines} lines"]
    if failed := progress.failed + progress.failed_before:
        parts.append(f"{failed:,} failed")
    parts.append(f"{progress.seconds:,.0f} s of speech")
    parts.append(f"{progress.speed:.1f} s/s")
    if progress.seconds_left is not None:
        parts.append(f"{timedelta(seconds=round(progress.seconds_left))} left")
    return ", ".join(parts)


def summary(progress: Progress) -> str:
    """What the run has done, in one line."""
    before = ""
    if progress.done_before:
        before = f" ({progress.done_before:,} of them before)"
    failed = progress.failed + progress.failed_before
    text = f"{progress.done + progress.done_before:,} lines are done{before}, {failed:,} failed"
    if progress.failed_before:
        text += f" ({progress.failed_before:,} of them before; --retry_failed does them again)"
    return (f"{text}; {progress.seconds:,.1f} s of speech in {progress.elapsed:,.1f} s, "
            f"{progress.speed:.2f} s/s")


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:9]) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no number of workers")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
