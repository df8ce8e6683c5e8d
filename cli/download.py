"""Fetch the model: `python -m cli.download --source huggingface`. Interrupted, the same command resumes."""

import argparse
import sys
from functools import partial

from tqdm import tqdm

from cli.common import Parser, run_command
from sparktts_ms.weights.download import LICENCE, download
from sparktts_ms.weights.hubs import HUBS, open_hub


def parser() -> argparse.ArgumentParser:
    """The options of this command."""
    options = Parser(prog="python -m cli.download", description=__doc__, epilog=LICENCE)
    options.add_argument("--source", choices=list(HUBS), default="huggingface", help="the hub (default: %(default)s)")
    options.add_argument("--model_id", help="OWNER/NAME there (default: SparkAudio/Spark-TTS-0.5B; none on modelers)")
    options.add_argument("--revision", help="branch, tag or commit (default: the hub's main branch)")
    options.add_argument("--local_dir", default="pretrained_models/Spark-TTS-0.5B", help="default: %(default)s")
    options.add_argument("--endpoint", help="address of a mirror, for huggingface also by HF_ENDPOINT")
    return options


def main(argv: list[str] | None = None) -> int:
    """Run the command; the last line on stdout is the model directory. 0, 2 after an error, 130 after Ctrl-C."""
    args = parser().parse_args(argv)

    def command() -> None:
        hub = open_hub(args.source, args.model_id, args.revision, args.endpoint)
        print(LICENCE, file=sys.stderr)
        print(download(hub, args.local_dir, partial(tqdm, unit="B", unit_scale=True, unit_divisor=1024)))

    return run_command(command, "Interrupted. What has arrived is kept; the same command resumes.")


if __name__ == "__main__":
    sys.exit(main())
