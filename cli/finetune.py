"""Fine-tune the language model: cli.finetune --model_dir BASE --data FILE --output_dir DIR

FILE is a manifest in JSON Lines: {"audio": "a.wav", "text": "...", "speaker": "...",
"gender": "female"}, of which the last two are optional; or one of NeMo, WeNet, LJSpeech, Common
Voice, or another table (see docs/training.md). The same command resumes an interrupted run. The
result is the model directory DIR/model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from cli.common import Parser, add_model_arguments, deprecated_flag, load_model, run_command
from sparktts_ms.storage.output_lock import lock_output

if TYPE_CHECKING:
    from sparktts_ms.config import ModelConfig
    from sparktts_ms.runtime import Runtime
    from sparktts_ms.training.dataset import EncodedRecording
    from sparktts_ms.training.extension import TrainingExtension
    from sparktts_ms.training.manifest import ManifestEntry

INTERRUPTED = "Interrupted; the same command resumes from the last saved state."
LEARNING_RATE = 1e-4
LORA_LEARNING_RATE = 5e-4
DEPRECATED = {
    "--out": "--output_dir",
    "--steps": "--max_steps",
    "--rate": "--learning_rate",
    "--warmup": "--warmup_steps",
    "--decay": "--weight_decay",
    "--tokens": "--batch_tokens",
    "--longest": "--max_length",
    "--lora": "--lora_rank",
    "--holdout": "--validation_every",
    "--evaluate_every": "--eval_steps",
    "--save_every": "--save_steps",
}
MOVED = ("--guide", "--hold", "--phones", "--pages", "--garble", "--warp")


class _MovedFlag(argparse.Action):
    """A flag that only pretraining in the recipe has."""

    def __call__(self, parser, namespace, values, option_string=None):
        parser.error(f"{option_string} has moved to recipes/demo_voice/lm/pretrain.py")


def build_parser(prog: str = "python -m cli.finetune",
                 description: str = "Fine-tune the language model on recordings.") -> Parser:
    parser = Parser(prog=prog, description=description)
    add_model_arguments(parser, default=None, inference=False)
    files = parser.add_argument_group("files")
    files.add_argument("--data", type=Path, required=True, metavar="FILE",
                       help="manifest: JSON Lines (audio, text, speaker, gender), CSV or list")
    files.add_argument("--no_normalize", dest="normalize", action="store_false",
                       help="do not write numbers and symbols of the texts out as words first")
    files.add_argument("--output_dir", type=Path, required=True, metavar="DIR",
                       help="for the state, the progress, and the model in DIR/model")
    files.add_argument("--save_dtype", choices=("float32", "float16"), default="float32",
                       help="of the model's weights")
    group = parser.add_argument_group("training")
    group.add_argument("--max_steps", type=int, default=1000)
    group.add_argument("--learning_rate", type=float,
                       help=f"at its peak; {LEARNING_RATE}, with LoRA {LORA_LEARNING_RATE}")
    group.add_argument("--warmup_steps", type=int, default=50,
                       help="until the peak; a cosine decay follows")
    group.add_argument("--weight_decay", type=float, default=0.01)
    group.add_argument("--lora_rank", type=int, default=0, metavar="R",
                       help="train LoRA matrices of this rank; 0 trains all weights")
    group.add_argument("--batch_tokens", type=int, default=4096, help="token ids in a batch")
    group.add_argument("--max_length", type=int, default=2048,
                       help="token ids in an example; longer ones are left out")
    group.add_argument("--validation_every", type=int, default=20, metavar="N",
                       help="every Nth recording is for validation")
    group.add_argument("--eval_steps", type=int, default=250, help="steps between validations")
    group.add_argument("--save_steps", type=int, default=100, help="steps between saved states")
    group.add_argument("--seed", type=int, default=0)
    for old, new in DEPRECATED.items():
        deprecated_flag(parser, old, new)
    for flag in MOVED:
        parser.add_argument(flag, nargs="?", action=_MovedFlag, help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(arguments)

    def finetune() -> None:
        entries = read_entries(args)
        with lock_output(args.output_dir):
            config, runtime, recordings = encode_entries(args, entries)
            train(args, config, runtime, recordings)

    return run_command(finetune, INTERRUPTED)


def read_entries(args: argparse.Namespace) -> list[ManifestEntry]:
    """The manifest's recordings that are there."""
    from sparktts_ms.training.manifest import existing_entries, read_manifest

    return existing_entries(read_manifest(args.data), args.data)


def encode_manifest(
    args: argparse.Namespace,
) -> tuple[ModelConfig, Runtime, list[EncodedRecording]]:
    """The model's configuration and runtime, and the manifest's recordings as token ids."""
    return encode_entries(args, read_entries(args))


def encode_entries(
    args: argparse.Namespace, entries: list[ManifestEntry]
) -> tuple[ModelConfig, Runtime, list[EncodedRecording]]:
    """The model's configuration and runtime, and the recordings as token ids."""
    from sparktts_ms.files import check_writable

    check_writable(args.output_dir)

    from tqdm import tqdm  # only now: bad arguments are reported before MindSpore loads

    from sparktts_ms.training.dataset import encode_recordings

    def progress_bar(items):
        return tqdm(items, desc="encoding", disable=None)

    tts = load_model(args)
    recordings = encode_recordings(entries, tts, args.output_dir / "encoded.jsonl", progress_bar)
    tts.release_prompt_encoder()
    return tts.config, tts.runtime, recordings


def train(args: argparse.Namespace, config: ModelConfig, runtime: Runtime,
          recordings: list[EncodedRecording], extension: TrainingExtension | None = None) -> None:
    """Train, plot the losses and write the model directory."""
    from sparktts_ms.training.trainer import Trainer, TrainingSettings

    values = {field.name: getattr(args, field.name) for field in fields(TrainingSettings)}
    if args.learning_rate is None:
        values["learning_rate"] = LORA_LEARNING_RATE if args.lora_rank else LEARNING_RATE
    trainer = Trainer(args.model_dir, args.output_dir, config, recordings,
                      TrainingSettings(**values), runtime, extension)
    trainer.train(report=print_progress)
    try:
        from sparktts_ms.training.plot import plot_progress

        plot = args.output_dir / "loss.png"
        plot_progress(plot, trainer.progress_file)
        print(plot, file=sys.stderr)
    except ImportError:
        print("No plot of the loss: pip install matplotlib", file=sys.stderr)
    print(trainer.write_model(args.save_dtype), flush=True)


def print_progress(entry: dict) -> None:
    """An entry of the progress file as a line on stderr."""
    values = ", ".join(f"{name} {value:.5g}" for name, value in entry.items() if name != "step")
    print(f"step {entry['step']}: {values}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
