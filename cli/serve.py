"""The speech server: python -m cli.serve."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cli.common import (
    Parser,
    add_model_arguments,
    load_model,
    path_argument,
    run_command,
)
from cli.server_arguments import (
    add_access_arguments,
    environment_keys,
    port_argument,
    remote_host_argument,
)
from cli.signals import exit_on_signals, note_first_signal
from sparktts_ms.errors import InputError

SIGNAL_SECONDS = 0.2        # a signal waits at most
HINTS = {"port_unavailable": "Choose another --port or --grpc_port."}


def build_parser() -> Parser:
    parser = Parser(prog="python -m cli.serve",
                    description="Spark-TTS as a speech server for clients of OpenAI, ElevenLabs "
                                "and KServe V2 (Triton).")
    add_model_arguments(parser)
    parser.set_defaults(model_dir=None)
    server = parser.add_argument_group("server")
    server.add_argument("--host", default="127.0.0.1", metavar="ADDRESS",
                        help="address to listen on; 0.0.0.0: reachable from other computers")
    server.add_argument("--port", type=port_argument, default=8000, metavar="PORT",
                        help="port of HTTP; 0: any that is free")
    server.add_argument("--grpc_port", type=port_argument, default=8001, metavar="PORT",
                        help="port of the KServe V2 protocol over gRPC; 0: none")
    server.add_argument("--voices", type=path_argument, default=Path("voices"), metavar="DIR",
                        help="folder of saved voices")
    server.add_argument("--names", type=path_argument, metavar="FILE",
                        help="YAML or JSON file with names of voices: each stands for a saved "
                             "voice, or for gender, pitch, speed and seed")
    server.add_argument("--max_queue", type=_count, default=200, metavar="N",
                        help="requests that wait beside those in progress; more get 429")
    server.add_argument("--drain_seconds", type=_seconds, default=30.0, metavar="S",
                        help="after SIGTERM: how long requests in progress may take")
    access = add_access_arguments(parser)
    access.add_argument("--allow_remote_audio", type=remote_host_argument, nargs="+",
                        action="extend", default=[], metavar="HOST",
                        help="hosts from which ref_audio may be fetched (default: none)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(arguments)
    return run_command(lambda: run(args), "The server has stopped.", HINTS)


def run(args: argparse.Namespace) -> None:
    """Listen, load the model, and serve until a signal comes."""
    try:
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise InputError(f"The server needs {error.name}.",
                         "pip install -r requirements-serve.txt") from None

    with exit_on_signals():
        import sparktts_ms.serving  # noqa: F401 (before MindSpore)
        from sparktts_ms import Service
        from sparktts_ms.serving.app import create_app
        from sparktts_ms.serving.environment import default_model_dir
        from sparktts_ms.serving.http_server import HttpServer, listen
        from sparktts_ms.serving.server import SpeechServer
        from sparktts_ms.serving.settings import Settings

    settings = Settings(
        host=args.host, grpc_port=args.grpc_port or None, voices=args.voices, names=args.names,
        api_keys=[*args.api_key, *environment_keys()], max_queue=args.max_queue,
        drain_seconds=args.drain_seconds, remote_audio_hosts=args.allow_remote_audio,
        allowed_hosts=args.allowed_hosts, origins=args.cors_origin)
    if args.grpc_port:
        listen(args.host, args.grpc_port).close()
    args.model_dir = args.model_dir or default_model_dir()
    logging.getLogger("sparktts_ms").info("Model: %s", args.model_dir)
    server = SpeechServer(settings)
    http = HttpServer(create_app(server), args.host, args.port).start()
    try:
        with Service(load_model(args)) as service:
            server.start(service)
            wait_for_signal(f"Ready: {http.url}")
            server.speech.drain()
            http.close()
    finally:
        server.speech.refuse_requests()
        http.close()


def wait_for_signal(ready: str) -> None:
    """Print the line, and return at the first signal, which may come before it is read; further
    ones are ignored."""
    stopped = note_first_signal()
    print(ready, flush=True)
    while not stopped():
        time.sleep(SIGNAL_SECONDS)
    logging.getLogger("sparktts_ms").info("Stopping: requests in progress are finished.")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no number of requests")
    return int(text[:9])


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no number of seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
