"""The web page and HTTP server: python -m cli.webui. The flags mirror upstream's `webui.py`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.common import Parser, add_model_arguments, deprecated_flag, load_model, run_command
from sparktts_ms.errors import InputError

if TYPE_CHECKING:
    from sparktts_ms import Service
    from webui.app import Settings

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "sparktts" / "prompt.wav"


def build_parser() -> Parser:
    parser = Parser(prog="python -m cli.webui",
                    description="Spark-TTS on MindSpore in a browser, and as an HTTP server.")
    add_model_arguments(parser)
    server = parser.add_argument_group("server")
    server.add_argument("--server_name", default="127.0.0.1", metavar="ADDRESS",
                        help="address to listen on; 0.0.0.0: reachable from other computers")
    server.add_argument("--server_port", type=int, default=7860, metavar="PORT",
                        help="port to listen on")
    server.add_argument("--root_path", default="", metavar="PATH",
                        help="path or address of the page behind a proxy")
    server.add_argument("--cors_origin", action="append", default=[], metavar="ORIGIN",
                        help="another site whose pages may use this server, such as "
                             "https://example.org; * for all; may be repeated")
    server.add_argument("--share", action="store_true",
                        help="a public address from gradio.live, for 72 hours")
    server.add_argument("--voices", type=Path, default=Path("voices"), metavar="DIR",
                        help="folder of saved voices")
    deprecated_flag(parser, "--allow_origin", "--cors_origin")
    deprecated_flag(parser, "--weights", "--quantize", lambda value: value.replace("float", "none"))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(arguments)
    return run_command(lambda: run(args), "The server has stopped.")


def run(args: argparse.Namespace) -> None:
    """Load the model and serve it."""
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise InputError("The page needs Gradio.", "pip install -r requirements-web.txt") from None

    from sparktts_ms import Service
    from webui.app import Settings

    settings = Settings(args.server_name, args.server_port, args.root_path, args.share,
                        args.voices, args.cors_origin,
                        example=EXAMPLE if EXAMPLE.is_file() else None)
    with Service(load_model(args)) as service:
        serve(service, settings)


def serve(service: Service, settings: Settings) -> None:
    """Serve the page until Ctrl-C; visitors' files are removed at the end."""
    from webui.app import Server

    server = Server(service, settings)
    try:
        server.start()
        print(server.public_url or server.url, flush=True)
        while True:
            time.sleep(3600)
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main())
