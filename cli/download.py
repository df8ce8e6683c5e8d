"""Download the model from a hub; after an interruption, the same command resumes.

python -m cli.download --source huggingface
"""

import argparse
import sys

from cli.common import RELEASED_MODEL, Parser, run_command
from sparktts_ms.weights.hub import HUBS, LICENCE, download, open_hub


def parser() -> argparse.ArgumentParser:
    """The options of this command."""
    options = Parser(prog="python -m cli.download", description=__doc__, epilog=LICENCE)
    options.add_argument("--source", choices=list(HUBS), default="huggingface",
                         help="the hub (default: %(default)s)")
    options.add_argument("--model_id", metavar="OWNER/NAME",
                         help="the model there (default: SparkAudio/Spark-TTS-0.5B; none on "
                              "modelers)")
    options.add_argument("--revision", help="branch, tag or commit (default: the main branch)")
    options.add_argument("--local_dir", default=str(RELEASED_MODEL), metavar="DIR",
                         help="model directory to write (default: %(default)s)")
    options.add_argument("--endpoint", metavar="URL",
                         help="address of a mirror, for huggingface also by HF_ENDPOINT")
    return options


def main(argv: list[str] | None = None) -> int:
    """Run the command; the last line on stdout is the directory. 0, 2 (error) or 130 (Ctrl-C)."""
    args = parser().parse_args(argv)

    def command() -> None:
        hub = open_hub(args.source, args.model_id, args.revision, args.endpoint)
        print(LICENCE, file=sys.stderr)
        print(download(hub, args.local_dir))

    return run_command(command, "Interrupted. What has arrived is kept; the same command resumes.")


if __name__ == "__main__":
    sys.exit(main())
