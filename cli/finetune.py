"""Train the language model on recordings: python -m cli.finetune --model_dir BASE --data manifest.jsonl --out DIR

A line of the manifest is {"audio": "a.wav", "text": "...", "speaker": "...", "gender": "female"}; the last two may be left
out. The same command goes on with a run that was interrupted. The model directory is DIR/model.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from cli.common import Parser, run_command


def parser() -> Parser:
    p = Parser(prog="python -m cli.finetune", description="Train Spark-TTS's language model on recordings with transcripts.")
    p.add_argument("--model_dir", type=Path, required=True, help="the model to begin with")
    p.add_argument("--data", type=Path, required=True, metavar="MANIFEST", help="JSON lines: audio, text, speaker, gender")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="state, progress and at last DIR/model")
    how = p.add_argument_group("training")
    how.add_argument("--steps", type=int, default=1000)
    how.add_argument("--rate", type=float, default=None, help="peak learning rate; 1e-4, with --lora 5e-4")
    how.add_argument("--warmup", type=int, default=50, help="steps until the peak; then it falls along a cosine")
    how.add_argument("--decay", type=float, default=0.01, help="weight decay")
    how.add_argument("--tokens", type=int, default=4096, help="of a batch")
    how.add_argument("--longest", type=int, default=2048, help="tokens of the longest sequence; longer ones are left out")
    how.add_argument("--lora", type=int, default=0, metavar="RANK", help="train products of this rank instead of all weights")
    how.add_argument("--guide", type=float, default=0.0, metavar="WEIGHT",
                     help="pull two heads along the text: for a model that begins from random weights; a trained one needs none")
    how.add_argument("--hold", type=int, default=0, metavar="STEPS",
                     help="for so many steps, less and less, the guided heads look where they should whatever they want")
    how.add_argument("--phones", type=float, default=0.0, metavar="WEIGHT",
                     help="teach how words are spoken and what is being said, where the manifest knows: the demo used 1")
    how.add_argument("--pages", type=int, default=0, metavar="N",
                     help="every Nth batch is no speech but words of the manifest, to teach phones: 1 at first, then 10")
    how.add_argument("--garble", type=float, default=0.0, metavar="SHARE",
                     help="read so many of the speech tokens wrongly, so that the text is minded more: 0.2 from random weights")
    how.add_argument("--warp", type=float, default=0.0, metavar="SHARE",
                     help="draw out and hurry stretches of so many of the recordings, which are read but not learnt, so that the "
                          "place in the text is not found by counting")
    how.add_argument("--holdout", type=int, default=20, metavar="N", help="every Nth recording only judges")
    how.add_argument("--seed", type=int, default=0)
    how.add_argument("--evaluate_every", type=int, default=250, metavar="STEPS")
    how.add_argument("--save_every", type=int, default=100, metavar="STEPS", help="at most so many are lost when interrupted")
    how.add_argument("--save_dtype", choices=("float32", "float16"), default="float32")
    device = p.add_argument_group("device")
    device.add_argument("--device", type=int, default=0, metavar="N", help="number of the Ascend device")
    device.add_argument("--device_target", choices=("auto", "Ascend", "CPU"), default="auto")
    device.add_argument("--mode", choices=("graph", "pynative"), default="graph")
    device.add_argument("--dtype", choices=("float32", "bfloat16"), help="of the products; bfloat16 on Ascend if not given")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    return run_command(lambda: run(args), interrupted="Interrupted; the same command goes on from the last saved state.")


def run(args) -> None:
    """Read, encode, train, write."""
    from sparktts_ms.training.manifest import read_manifest

    recordings = read_manifest(args.data)
    check_folder(args.out)

    from tqdm import tqdm  # late: bad arguments are answered before MindSpore loads

    from sparktts_ms import SparkTTS
    from sparktts_ms.training.dataset import encode
    from sparktts_ms.training.trainer import Settings, Trainer

    rate = args.rate if args.rate is not None else 5e-4 if args.lora else 1e-4
    settings = Settings(**{field.name: getattr(args, field.name) for field in fields(Settings)} | {"rate": rate})
    tts = SparkTTS.from_pretrained(args.model_dir, args.device_target, args.device, args.mode, args.dtype)
    config, runtime = tts.config, tts.runtime
    spoken = encode(recordings, tts, args.out / "encoded.jsonl", lambda items: tqdm(items, desc="encoding", disable=None))
    tts.release_prompt_encoder()
    del tts
    trainer = Trainer(args.model_dir, args.out, config, spoken, settings, runtime)
    trainer.train(report=report)
    picture = args.out / "loss.png"
    try:
        from sparktts_ms.training.plot import draw
        draw(picture, trainer.progress_file)
        print(picture, file=sys.stderr)
    except ImportError:
        print("No picture of the loss: pip install matplotlib", file=sys.stderr)
    print(trainer.write_model(args.save_dtype), flush=True)


def report(entry: dict) -> None:
    parts = []
    if "loss" in entry:
        parts += [f"loss {entry['loss']:.3f}", f"{100 * entry['hits']:.1f} % hit", f"{entry['tokens_per_second']:.0f} tokens/s"]
    if "misread" in entry:
        parts.append(f"phones on pages {entry['misread']:.3f}")
    if "unseen_loss" in entry:
        parts.append(f"on what was held out: loss {entry['unseen_loss']:.3f}, {100 * entry['unseen_hits']:.1f} % hit")
    print(f"step {entry['step']}: {', '.join(parts)}", file=sys.stderr, flush=True)


def check_folder(folder: Path) -> None:
    from sparktts_ms.files import check_writable

    check_writable(folder)


if __name__ == "__main__":
    sys.exit(main())
