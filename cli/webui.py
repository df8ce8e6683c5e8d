"""The web page and HTTP server: python -m cli.webui. The flags mirror upstream's `webui.py`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.common import Parser, add_model_arguments, deprecated_flag, load_model, run_command
from cli.server_arguments import (
    add_access_arguments,
    environment_keys,
    port_argument,
    root_path_argument,
)
from cli.signals import ignore_signals, stop_on_first_signal
from sparktts_ms.errors import InputError

if TYPE_CHECKING:
    from sparktts_ms import Service
    from webui.app import Settings

HINTS = {"port_unavailable": "Choose another --server_port."}
EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "sparktts" / "prompt.wav"


def build_parser() -> Parser:
    parser = Parser(prog="python -m cli.webui",
                    description="Spark-TTS on MindSpore in a browser, and as an HTTP server.")
    add_model_arguments(parser)
    server = parser.add_argument_group("server")
    server.add_argument("--server_name", default="127.0.0.1", metavar="ADDRESS",
                        help="address to listen on; 0.0.0.0: reachable from other computers")
    server.add_argument("--server_port", type=port_argument, default=7860, metavar="PORT",
                        help="port to listen on; 0: any that is free")
    server.add_argument("--root_path", type=root_path_argument, default="", metavar="PATH",
                        help="path or address of the page behind a proxy")
    server.add_argument("--share", action="store_true",
                        help="a public address from gradio.live, for 72 hours")
    server.add_argument("--voices", type=Path, default=Path("voices"), metavar="DIR",
                        help="folder of saved voices")
    access = add_access_arguments(parser)
    access.add_argument("--manage_voices", action="store_true", default=None,
                        help="all visitors may save and delete voices in --voices (default: only "
                             "if nobody but this machine's users can reach the server)")
    deprecated_flag(parser, "--allow_origin", "--cors_origin")
    deprecated_flag(parser, "--weights", "--quantize", lambda value: value.replace("float", "none"))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(arguments)
    return run_command(lambda: run(args), "The server has stopped.", HINTS)


def run(args: argparse.Namespace) -> None:
    """Load the model and serve it. What would fail afterwards is checked before."""
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise InputError("The page needs Gradio.", "pip install -r requirements-web.txt") from None

    from sparktts_ms import Service
    from sparktts_ms.serving.http_server import listen
    from sparktts_ms.serving.voices.store import VoiceStore
    from webui.app import Settings

    keys = [*args.api_key, *environment_keys()]
    listen(args.server_name, args.server_port).close()
    VoiceStore(args.voices).check()
    settings = Settings(args.server_name, args.server_port, args.root_path, args.share,
                        args.voices, args.cors_origin,
                        example=EXAMPLE if EXAMPLE.is_file() else None,
                        allowed_hosts=args.allowed_hosts, api_keys=keys,
                        manage_voices=args.manage_voices)
    with Service(load_model(args)) as service:
        serve(service, settings)


def serve(service: Service, settings: Settings) -> None:
    """Serve the page until a signal comes; visitors' files are removed at the end, and further
    signals do not disturb that."""
    stop_on_first_signal()
    from webui.app import Server

    server = Server(service, settings)
    try:
        server.start()
        print(server.public_url or server.url, flush=True)
        while True:
            time.sleep(3600)
    finally:
        ignore_signals()
        server.close()


if __name__ == "__main__":
    sys.exit(main())
