"""What the commands share: a parser, common arguments, deprecated flags and error messages.

Errors are one line on stderr with exit status 2; Ctrl-C gives 130, and so does SIGTERM but during
imports, where it gives 143.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from cli.mindspore_import import import_mindspore, load_libraries_ahead, without_collection
from cli.signals import exit_on_signals
from sparktts_ms.errors import InputError, OutputError, SparkTTSError, one_line, printable, quoted

if TYPE_CHECKING:
    from sparktts_ms import SparkTTS

RELEASED_MODEL = Path("pretrained_models/Spark-TTS-0.5B")

# What helps against an error on the command line, by the error's code.
HINTS = {
    "no_voice": "Add --prompt_speech_path FILE, --voice FILE or --gender female|male.",
    "style_without_voice": "Add --gender female|male, --prompt_speech_path FILE or --voice FILE.",
    "no_text": "Give at least one word by --text or --text_file.",
    "no_speech": "Try another --seed, a longer text, or --min_new_tokens.",
    "no_speech_continued": "Is --prompt_text exactly what the recording says? Correct it, or leave "
                           "it out; or try another --seed.",
    "transcript_mismatch": "Correct --prompt_text, or leave it out.",
    "incomplete_voice": "Try another --seed or more --max_new_tokens.",
    "recording_too_long": "Cut the recording and --prompt_text, or leave out --prompt_text.",
    "prompt_too_long": "Leave out --no_split, or use a shorter recording with --prompt_text.",
    "unsupported_language": "Use another --model_dir; the released model "
                            "(`python -m cli.download`) speaks Chinese and English.",
    "no_model_dir": "Change --model_dir; `python -m cli.download` fetches the released model, and "
                    "pretrained_models/Spark-TTS-demo is a small one.",
    "no_ascend": "Check `npu-smi info` and the CANN environment, or use --device_target CPU.",
    "ascend_permission": "Give this user the group that owns it; a container takes --group-add, or "
                         "use --device_target CPU.",
    "unsuitable_chip": "Use an Atlas A2 (Ascend910B1 to B4) or A3 (Ascend910_93), or "
                       "--device_target CPU.",
    "ascend_settings": "Remove the file, or let `python -m cli.doctor --apply` write it again.",
    "no_model_id": "Add --model_id OWNER/NAME.",
    "target_exists": "Add --overwrite to replace it.",
    "not_a_voice": "--save_voice writes one.",
}

WITHOUT_MINDSPORE = ("sparktts_ms.audio.recording", "sparktts_ms.generation.segments")
MAX_MESSAGE = 300       # characters of an error in the arguments

Convert = Callable[[str], str]


class Parser(argparse.ArgumentParser):
    """An argument parser with errors in one line, and with deprecated names of flags."""

    deprecated: dict[str, tuple[str, Convert | None]]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.deprecated = {}    # former name -> (flag, conversion of its value or None)

    def parse_known_args(self, args=None, namespace=None):
        arguments = sys.argv[1:] if args is None else args
        return super().parse_known_args(self._rename(arguments), namespace)

    def error(self, message: str):
        if len(message) > MAX_MESSAGE:
            message = f"{message[:MAX_MESSAGE]}..."
        self.exit(2, f"error: {printable(message)} (--help lists the options)\n")

    def print_help(self, file=None):
        try:
            super().print_help(file)
            (file or sys.stdout).flush()
        except (OSError, AttributeError) as error:          # full, hung up, or closed (None)
            discard_stdout()
            self.exit(2, f"error: The help cannot be printed: {os_reason(error)}.\n")

    def _rename(self, arguments: Sequence[str]) -> list[str]:
        """The arguments with current names for deprecated flags; each is reported on stderr."""
        renamed: list[str] = []
        convert: Convert | None = None      # of the value that the next argument is
        for argument in arguments:
            if convert is not None:
                renamed.append(convert(argument))
                convert = None
                continue
            flag, equals, value = argument.partition("=")
            if flag not in self.deprecated:
                renamed.append(argument)
                continue
            new, convert = self.deprecated[flag]
            print(f"{flag} is deprecated; use {new}.", file=sys.stderr)
            if equals:
                value = convert(value) if convert is not None else value
                renamed.append(f"{new}={value}")
                convert = None
            else:
                renamed.append(new)
        return renamed


def deprecated_flag(parser: Parser, old: str, new: str, convert: Convert | None = None) -> None:
    """Accept `old` for `new` for one release: hidden from --help, with one line on stderr.

    convert: makes the new flag's value of the old one's; None where values stay the same or the
    flag takes none.
    """
    parser.deprecated[old] = (new, convert)


def add_model_arguments(
    parser: argparse.ArgumentParser, default: Path | None = RELEASED_MODEL, inference: bool = True
) -> None:
    """The model directory (required without a `default`) and how to run it, for `load_model`."""
    group = parser.add_argument_group("model and device")
    group.add_argument("--model_dir", type=path_argument, default=default, required=default is None,
                       metavar="DIR", help="model directory in the released layout")
    group.add_argument("--device_target", choices=("auto", "Ascend", "CPU"), default="auto",
                       help="auto: Ascend where there is one")
    group.add_argument("--device", type=int, default=0, metavar="N",
                       help="number of the Ascend device")
    group.add_argument("--mode", choices=("graph", "pynative"), default="graph",
                       help="graph: compiled at first use; pynative: operator by operator")
    group.add_argument("--dtype", choices=("float32", "bfloat16"),
                       help="of the language model (default: bfloat16 on Ascend, float32 on CPU)")
    if inference:
        group.add_argument("--capture", action="store_true", default=None,
                           help="Ascend: record the launches of a decode step, replay them as one")
        group.add_argument("--quantize", choices=("none", "int8", "int4"), default="none",
                           help="CPU: language model in 8 bits, three times as fast, or in 4, five "
                                "times and less exact: where two cores must keep up")
        group.add_argument("--no_weight_cache", dest="weight_cache", action="store_false",
                           help="CPU: do not keep packed weights for a fast start next time")
        group.add_argument("--voice_cache", nargs="?", type=path_argument, const=True,
                           metavar="DIR",
                           help="keep the voices of recordings, in DIR or in the user's cache "
                                "folder, so that known recordings are not encoded again")


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """The fields of `Sampling` that a command line sets."""
    group = parser.add_argument_group("sampling")
    group.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same speech")
    group.add_argument("--temperature", type=float, default=0.8, metavar="X", help="0 is greedy")
    group.add_argument("--top_k", type=int, default=50, metavar="N", help="0 keeps all tokens")
    group.add_argument("--top_p", type=float, default=0.95, metavar="P", help="1 keeps all tokens")
    group.add_argument("--max_new_tokens", type=int, default=3000, metavar="N",
                       help="of a segment; 50 tokens make one second")
    group.add_argument("--min_new_tokens", type=int, default=0, metavar="N",
                       help="a segment does not end before that many")


def load_model(args: argparse.Namespace, low_memory: bool = False) -> SparkTTS:
    """The model that the arguments of `add_model_arguments` describe."""
    with exit_on_signals(), without_collection():     # MindSpore's import cannot be interrupted
        import sparktts_ms

        sparktts_ms.check_environment()
        load_libraries_ahead()
        from sparktts_ms.generation.vocabulary import read_ahead

        read_ahead(args.model_dir / "LLM" / "tokenizer.json")
        for module in WITHOUT_MINDSPORE:            # while its libraries are loaded
            import_module(module)
        import_mindspore()
        from sparktts_ms import SparkTTS

    return SparkTTS.from_pretrained(args.model_dir, args.device_target, args.device, args.mode,
                                    args.dtype, getattr(args, "quantize", "none"),
                                    getattr(args, "capture", None),
                                    getattr(args, "weight_cache", True), low_memory,
                                    getattr(args, "voice_cache", None) or False)


def error_message(error: SparkTTSError, hints: Mapping[str, str] = HINTS) -> str:
    """The error in one line, with a hint that names flags where there is one."""
    return error.message(hint=hints.get(error.code or ""))


def path_argument(value: str) -> Path:
    """The type of a flag that names a file or folder."""
    if not value:
        raise argparse.ArgumentTypeError("the name is empty")
    return Path(value)


def run_command(command: Callable[[], None], interrupted: str,
                hints: Mapping[str, str] | None = None) -> int:
    """Run a command; returns the exit status. `interrupted` is printed after Ctrl-C. hints: of the
    command's own flags, by error code."""
    logger = logging.getLogger("sparktts_ms")
    handler = logging.StreamHandler(sys.stderr)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    if threading.current_thread() is threading.main_thread():
        # While a graph runs, MindSpore answers Ctrl-C by sending this process SIGTERM.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        check_process()
        command()
        flush_stdout()
    except SparkTTSError as error:
        print_error(error_message(error, {**HINTS, **(hints or {})}))
        return 2
    except ImportError as error:        # a library of the system's, or one that pip installs
        print_error(missing_library(error))
        return 2
    except OSError as error:            # what no check has foreseen
        name = f"{quoted(str(error.filename))}: " if error.filename is not None else ""
        print_error(f"{name}{os_reason(error)}.")
        return 2
    except KeyboardInterrupt:
        with suppress(OSError):
            print(f"\n{interrupted}", file=sys.stderr)
        return 130
    finally:
        logger.removeHandler(handler)
    return 0


def missing_library(error: ImportError) -> str:
    """The error in one line, with what installs the library."""
    match = re.match(r"(lib\w+)\.so[.\d]*: cannot open", str(error))
    hint = "pip install -r requirements.txt"
    if match:
        hint = f"Install the system's {match[1]}."
        if match[1] == "libgomp":
            hint = "apt-get install libgomp1"
    return f"{one_line(error).rstrip('.')}. {hint}"


def check_process() -> None:
    """Raise an error for standard output that is closed, a number of threads that is none, or no
    folder for temporary files, without which MindSpore is not imported."""
    if sys.stdout is None:
        raise OutputError("Standard output is closed.", "Send it to a file or to /dev/null.")
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    numbers = threads.strip().split(",")
    if not all(n.strip().isascii() and n.strip().isdigit() and int(n[:9]) for n in numbers):
        raise InputError(f"OMP_NUM_THREADS is {quoted(threads)}; it must be a number above zero.",
                         "Change or unset it.")
    try:
        tempfile.gettempdir()
    except OSError:
        raise OutputError("There is no folder for temporary files: /tmp cannot be written.",
                          "Name another folder in TMPDIR; a container takes a tmpfs on /tmp.") \
            from None


def print_result(path: object) -> None:
    """Print a result's name to stdout. Raises OutputError, which names it, where that fails."""
    try:
        print(path, flush=True)
    except (OSError, UnicodeEncodeError) as error:
        discard_stdout()
        raise OutputError(f"{{subject}} is complete, but its name cannot be printed: "
                          f"{os_reason(error)}.", subject=str(path)) from None


def print_error(message: str) -> None:
    with suppress(OSError):             # nobody reads it
        print(f"error: {message}", file=sys.stderr, flush=True)


def flush_stdout() -> None:
    """Raise OutputError where stdout does not take what was printed."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        discard_stdout()
        raise OutputError(f"Standard output cannot be written: {os_reason(error)}.") from None


def discard_stdout() -> None:
    """Lose what stdout still holds, so that Python does not fail to write it at the end."""
    with suppress(OSError, ValueError, AttributeError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)


def os_reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or (str(error).splitlines() or ["closed"])[0]
