"""The web page and HTTP server: python -m cli.webui. The flags mirror upstream's `webui.py`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cli.common import Parser, add_model_arguments, deprecated_flag, load_model, run_command
from sparktts_ms.errors import InputError

if TYPE_CHECKING:
    from sparktts_ms import Service
    from webui.app import Settings

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "sparktts" / "prompt.wav"
KEYS_VARIABLE = "SPARKTTS_API_KEY"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def build_parser() -> Parser:
    parser = Parser(prog="python -m cli.webui",
                    description="Spark-TTS on MindSpore in a browser, and as an HTTP server.")
    add_model_arguments(parser)
    server = parser.add_argument_group("server")
    server.add_argument("--server_name", default="127.0.0.1", metavar="ADDRESS",
                        help="address to listen on; 0.0.0.0: reachable from other computers")
    server.add_argument("--server_port", type=_port, default=7860, metavar="PORT",
                        help="port to listen on; 0: any that is free")
    server.add_argument("--root_path", type=_root_path, default="", metavar="PATH",
                        help="path or address of the page behind a proxy")
    server.add_argument("--share", action="store_true",
                        help="a public address from gradio.live, for 72 hours")
    server.add_argument("--voices", type=Path, default=Path("voices"), metavar="DIR",
                        help="folder of saved voices")
    access = parser.add_argument_group("access")
    access.add_argument("--allowed_hosts", type=_host, nargs="+", action="extend", default=[],
                        metavar="HOST",
                        help="host names by which the server may be called, such as "
                             "tts.example.org or *.example.org (default: all; localhost only, if "
                             "it listens on a loopback address)")
    access.add_argument("--cors_origin", type=_origin, action="append", default=[],
                        metavar="ORIGIN",
                        help="another site whose pages may use this server, such as "
                             "https://example.org; * for all; may be repeated")
    access.add_argument("--api_key", type=_api_key, action="append", default=[], metavar="KEY",
                        help="requests need this key; may be repeated; also from the environment "
                             f"variable {KEYS_VARIABLE}, several separated by commas")
    access.add_argument("--manage_voices", action="store_true", default=None,
                        help="all visitors may save and delete voices in --voices (default: only "
                             "if nobody but this machine's users can reach the server)")
    deprecated_flag(parser, "--allow_origin", "--cors_origin")
    deprecated_flag(parser, "--weights", "--quantize", lambda value: value.replace("float", "none"))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(arguments)
    return run_command(lambda: run(args), "The server has stopped.")


def run(args: argparse.Namespace) -> None:
    """Load the model and serve it. What would fail afterwards is checked before."""
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise InputError("The page needs Gradio.", "pip install -r requirements-web.txt") from None

    from sparktts_ms import Service
    from webui.app import Settings
    from webui.http_server import listen
    from webui.voice_store import VoiceStore

    keys = [*args.api_key, *_environment_keys()]
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
    _stop_on_first_signal()
    from webui.app import Server

    server = Server(service, settings)
    try:
        server.start()
        print(server.public_url or server.url, flush=True)
        while True:
            time.sleep(3600)
    finally:
        _ignore_signals()
        server.close()


def _stop_on_first_signal() -> None:
    """The first of the signals raises KeyboardInterrupt, the others are ignored. SIGHUP stays
    ignored where it is, as nohup does it."""
    if threading.current_thread() is not threading.main_thread():
        return

    def stop(*_) -> NoReturn:
        _ignore_signals()
        raise KeyboardInterrupt

    for number in STOP_SIGNALS:
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


def _ignore_signals() -> None:
    if threading.current_thread() is threading.main_thread():
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _environment_keys() -> list[str]:
    try:
        keys = os.environ.get(KEYS_VARIABLE, "").split(",")
        return [_api_key(key) for key in map(str.strip, keys) if key]
    except argparse.ArgumentTypeError as error:
        raise InputError(f"{KEYS_VARIABLE}: {error}.") from None


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no port; 0 to 65535")
    return int(text)


def _origin(text: str) -> str:
    from webui.middleware.origins import origin_host

    if text != "*" and not origin_host(text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no origin such as https://example.org")
    return text


def _host(text: str) -> str:
    from webui.middleware.hosts import host_name

    if not host_name(text.removeprefix("*.")) or ":" in text.rpartition("]")[2]:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no host name such as example.org")
    return text


def _root_path(text: str) -> str:
    from webui.middleware.origins import origin_host

    address, separator, path = text.partition("://")
    if separator:
        host, _, _ = path.partition("/")
        valid = address in ("http", "https") and bool(origin_host(f"{address}://{host}"))
    else:
        valid = not text or text.startswith("/")
    if not valid or not text.isprintable() or any(mark in text for mark in " ?#"):
        raise argparse.ArgumentTypeError(
            f"{text[:80]!r} is no path such as /tts, or address such as https://example.org/tts")
    return text.rstrip("/")


def _api_key(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or set(text) & set(" ,"):
        raise argparse.ArgumentTypeError("a key has visible ASCII characters, without commas")
    return text


if __name__ == "__main__":
    sys.exit(main())
