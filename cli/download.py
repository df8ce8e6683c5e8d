"""Download the model from a hub; after an interruption, the same command resumes.

python -m cli.download --source huggingface
"""

import sys

from cli.common import RELEASED_MODEL, Parser, print_result, run_command
from sparktts_ms.weights.hub import HUBS, LICENCE, download, open_hub


def build_parser() -> Parser:
    parser = Parser(prog="python -m cli.download", description=__doc__, epilog=LICENCE)
    parser.add_argument("--source", choices=list(HUBS), default="huggingface",
                        help="the hub (default: %(default)s)")
    parser.add_argument("--model_id", metavar="OWNER/NAME",
                        help="the model there (default: SparkAudio/Spark-TTS-0.5B; none on "
                             "modelers)")
    parser.add_argument("--revision", help="branch, tag or commit (default: the main branch)")
    parser.add_argument("--local_dir", default=str(RELEASED_MODEL), metavar="DIR",
                        help="model directory to write (default: %(default)s)")
    parser.add_argument("--endpoint", metavar="URL",
                        help="address of a mirror, for huggingface also by HF_ENDPOINT")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; the last line on stdout is the directory. 0, 2 (error) or 130 (Ctrl-C)."""
    args = build_parser().parse_args(argv)

    def command() -> None:
        hub = open_hub(args.source, args.model_id, args.revision, args.endpoint)
        print(LICENCE, file=sys.stderr)
        print_result(download(hub, args.local_dir))

    return run_command(command, "Interrupted. What has arrived is kept; the same command resumes.")


if __name__ == "__main__":
    sys.exit(main())
