"""The page in a browser: python -m cli.webui. Flags mirror upstream's `webui.py`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from cli.common import Parser, run_command
from sparktts_ms.errors import InputError

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "sparktts"


def parser() -> Parser:
    p = Parser(prog="python -m cli.webui", description="Spark-TTS on MindSpore in a browser, and for programs that call it.")
    model = p.add_argument_group("model and device")
    model.add_argument("--model_dir", type=Path, default=Path("pretrained_models/Spark-TTS-0.5B"))
    model.add_argument("--device", type=int, default=0, metavar="N", help="number of the Ascend device")
    model.add_argument("--device_target", choices=("auto", "Ascend", "CPU"), default="auto")
    model.add_argument("--mode", choices=("graph", "pynative"), default="graph")
    model.add_argument("--dtype", choices=("float32", "bfloat16"), help="of the language model")
    model.add_argument("--quantize", choices=("none", "int8"), default="none", help="int8: three times as fast on a CPU")
    server = p.add_argument_group("server")
    server.add_argument("--server_name", default="127.0.0.1", metavar="ADDRESS", help="0.0.0.0: reachable from other computers")
    server.add_argument("--server_port", type=int, default=7860, metavar="PORT")
    server.add_argument("--root_path", default="", metavar="PATH", help="where a proxy shows the page: path or address")
    server.add_argument("--allow_origin", action="append", default=[], metavar="ORIGIN",
                        help="another site whose pages may use this server, such as https://example.org; * for all")
    server.add_argument("--share", action="store_true", help="a public address from gradio.live, for 72 hours")
    server.add_argument("--voices", type=Path, default=Path("voices"), metavar="DIR", help="folder of saved voices")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    return run_command(lambda: run(args), interrupted="The server has ended.")


def run(args) -> None:
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise InputError("The page needs Gradio: pip install -r requirements-web.txt") from None

    from sparktts_ms import Service, SparkTTS
    from sparktts_ms.web.app import Settings

    tts = SparkTTS.from_pretrained(args.model_dir, args.device_target, args.device, args.mode, args.dtype, args.quantize)
    recording, transcript = EXAMPLE / "prompt.wav", EXAMPLE / "prompt.txt"
    known = recording.is_file() and transcript.is_file()
    settings = Settings(args.server_name, args.server_port, args.root_path, args.share, args.voices, tuple(args.allow_origin),
                        example=recording if known else None,
                        transcript=transcript.read_text(encoding="utf-8").strip() if known else "")
    with Service(tts) as service:
        serve(service, settings)


def serve(service, settings) -> None:
    """Until Ctrl-C; then nothing that visitors left stays behind."""
    from sparktts_ms.web.app import Site

    site = Site(service, settings)
    try:
        site.start()
        print(site.shared or site.url, flush=True)
        site.wait()
    finally:
        site.close()


if __name__ == "__main__":
    sys.exit(main())
