"""Synthesize speech: python -m cli.inference --text "Hello." --prompt_speech_path prompt.wav

The flags mirror upstream's `cli/inference.py`. The last line on stdout is the path of the file
written; with `--stream -` stdout is the audio itself.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from datetime import datetime
from io import BytesIO, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cli.common import (
    Parser,
    add_model_arguments,
    add_sampling_arguments,
    deprecated_flag,
    load_model,
    path_argument,
    print_result,
    run_command,
)
from sparktts_ms.audio.wav import WavStream, write_wav
from sparktts_ms.errors import InputError, OutputError, printable
from sparktts_ms.files import check_new, unused_path
from sparktts_ms.generation.attributes import LEVELS
from sparktts_ms.generation.request import Chunks, SpeechRequest, check_text, resolve_style
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.voice import Speech, Voice

if TYPE_CHECKING:
    from sparktts_ms import SparkTTS


MAX_TEXT_BYTES = 16 << 20       # of --text_file


def build_parser() -> Parser:
    parser = Parser(prog="python -m cli.inference",
                    description="Spark-TTS on MindSpore: text to a 16 kHz wav file.")
    text = parser.add_argument_group("text")
    text.add_argument("--text", help="the text to synthesize, of any length")
    text.add_argument("--text_file", type=path_argument, metavar="FILE",
                      help="a UTF-8 file; each line (up to a line feed) becomes a file of its own")
    text.add_argument("--no_normalize", dest="normalize", action="store_false",
                      help="do not write numbers and symbols out as words first")
    text.add_argument("--no_split", dest="split", action="store_false",
                      help="synthesize a text as one utterance, however long it is")
    clone = parser.add_argument_group("voice cloning")
    clone.add_argument("--prompt_speech_path", type=path_argument, metavar="FILE",
                       help="a recording of the voice; its first 6 s define the speaker")
    clone.add_argument("--prompt_text", metavar="TEXT",
                       help="transcript of the recording (then at most 30 s)")
    clone.add_argument("--voice", type=path_argument, metavar="FILE",
                       help="a voice that --save_voice wrote, instead of a recording")
    style = parser.add_argument_group("voice creation")
    style.add_argument("--gender", choices=("male", "female"), help="of the created voice")
    style.add_argument("--pitch", type=level_or_number, metavar="LEVEL|HZ",
                       help=f"{', '.join(LEVELS)}; or the median in Hz, as 180")
    style.add_argument("--speed", type=level_or_number, metavar="LEVEL|RATE",
                       help="the same levels; or syllables per second, as 4.5")
    add_model_arguments(parser)
    add_sampling_arguments(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--save_dir", type=path_argument, default=Path("example/results"),
                        metavar="DIR", help="folder for wav files named after the time")
    output.add_argument("--output", type=path_argument, metavar="FILE",
                        help="write this wav file instead")
    output.add_argument("--stream", type=stream_argument, metavar="FILE",
                        help="write audio while it is generated to FILE, a pipe, or - (stdout)")
    output.add_argument("--stream_format", choices=("wav", "pcm"), default="wav",
                        help="pcm: 16-bit samples without a header")
    output.add_argument("--lookahead", type=int, default=32, metavar="FRAMES",
                        help="20 ms frames generated behind a chunk before it is decoded; "
                             "67 is exact; another value is also that of the first chunk, "
                             "for which 8 are enough by default")
    output.add_argument("--save_voice", type=path_argument, metavar="FILE",
                        help="save the cloned or created voice for --voice; needs no text")
    output.add_argument("--plot", action="store_true",
                        help="a PNG with waveform and mel spectrogram beside the wav file")
    deprecated_flag(parser, "--no-normalize", "--no_normalize")
    deprecated_flag(parser, "--weights", "--quantize", lambda value: value.replace("float", "none"))
    return parser


def level_or_number(value: str) -> str | float:
    return value if value in LEVELS else float(value)


def stream_argument(value: str) -> str:
    """A file's name as it was given, or - for stdout."""
    path_argument(value)
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(arguments)
    return run_command(lambda: run(args), "Interrupted; unfinished speech was not written.")


def run(args: argparse.Namespace) -> None:
    """Check what can be checked without the model, load it, synthesize and write."""
    texts = read_texts(args)
    check_arguments(args, len(texts))
    chunks = Chunks(args.lookahead)
    sampling = Sampling(args.temperature, args.top_k, args.top_p, args.max_new_tokens,
                        args.min_new_tokens, args.seed)
    voice = Voice.load(args.voice) if args.voice else None
    requests: list[SpeechRequest] = []
    if args.prompt_speech_path:
        resolve_style(True, args.gender, args.pitch, args.speed)
    else:
        requests = make_requests(args, texts, voice, sampling)
    tts = load_model(args, low_memory=True)
    if args.prompt_speech_path:
        voice = tts.encode_voice(args.prompt_speech_path, args.prompt_text)
        requests = make_requests(args, texts, voice, sampling)
    if args.save_voice and voice is not None:
        save_voice(voice, args.save_voice)
    if args.stream:
        with open_stream(args.stream) as file:
            stream(tts, requests, chunks, file, args)
    else:
        write_files(tts, requests, args)


def make_requests(args: argparse.Namespace, texts: list[str], voice: Voice | None,
                  sampling: Sampling) -> list[SpeechRequest]:
    requests = []
    for text in texts:
        requests.append(SpeechRequest(text, voice, args.gender, args.pitch, args.speed, sampling,
                                      args.normalize, args.split))
    return requests


def write_files(tts: SparkTTS, requests: list[SpeechRequest], args: argparse.Namespace) -> None:
    """One wav file for each request; its path on stdout."""
    generated_voice = args.gender is not None
    for number, request in enumerate(requests):
        speech = synthesize(tts, request)
        path = write_speech(speech, args)
        print_result(path)
        if args.save_voice and generated_voice and number == 0:
            save_voice(speech.voice, args.save_voice)
        if args.plot:
            from sparktts_ms.audio.plot import draw

            draw(path.with_suffix(".png"), speech.samples, speech.sample_rate, title=request.text)


def synthesize(tts: SparkTTS, request: SpeechRequest) -> Speech:
    """The speech of one request, with a progress bar in seconds of audio."""
    from tqdm import tqdm

    layout = "{desc} {n:.1f} s [{elapsed}]"
    with tqdm(desc="speech", unit="s", disable=None, leave=False, bar_format=layout) as bar:
        speech = tts.synthesize(request, progress=lambda seconds: bar.update(seconds - bar.n))
    note = "" if speech.complete else "; cut off at --max_new_tokens, or where it became silent"
    print(f"{speech.seconds:.2f} s of speech{note}", file=sys.stderr)
    return speech


def write_speech(speech: Speech, args: argparse.Namespace) -> Path:
    """Write the wav file; where its name is the time, the next free one."""
    while True:
        path = args.output
        if path is None:
            others = (".png",) if args.plot else ()
            path = unused_path(args.save_dir, f"{datetime.now():%Y%m%d%H%M%S}", ".wav", *others)
        try:
            return write_wav(path, speech.samples, speech.sample_rate)
        except OutputError:
            taken_meanwhile = args.output is None and path.exists()
            if not taken_meanwhile:
                raise


def save_voice(voice: Voice, path: Path) -> None:
    voice.save(path)
    print(printable(f"The voice was saved to {path}."), file=sys.stderr)


def stream(tts: SparkTTS, requests: list[SpeechRequest], chunks: Chunks, file: BinaryIO,
           args: argparse.Namespace) -> None:
    """All requests, one after another, into `file` while they are generated."""
    start = time.perf_counter()
    first_chunk = 0.0
    seconds = 0.0
    writer: WavStream | None = None     # nothing is written before there are samples
    try:
        for request in requests:
            for samples in tts.stream(request, chunks=chunks):
                writer = writer or WavStream(file, tts.sample_rate, args.stream_format == "wav")
                writer.write(samples)
                seconds += len(samples) / tts.sample_rate
                first_chunk = first_chunk or time.perf_counter() - start
    except BrokenPipeError:
        raise OutputError("The reader of --stream hung up.") from None
    except OSError as error:
        raise stream_error(args.stream, error) from None
    elapsed = time.perf_counter() - start
    print(f"{seconds:.2f} s of speech in {elapsed:.2f} s, first chunk after {first_chunk:.2f} s",
          file=sys.stderr)


@contextmanager
def open_stream(name: str) -> Iterator[BinaryIO]:
    """stdout for "-", else the file or pipe `name`, which is opened when it is written to.

    A new file is removed again if the block fails. Whatever a library prints to stdout meanwhile
    goes to stderr.
    """
    if name == "-":
        with redirect_stdout(sys.stderr), os.fdopen(os.dup(1), "wb", buffering=0) as file:
            yield StreamFile(file)
        return
    stream_file = StreamFile(Path(name))
    try:
        yield stream_file
    except BaseException:
        stream_file.remove()
        raise
    finally:
        stream_file.close()


class StreamFile(BytesIO):
    """A file for `WavStream`, given open or as a path, which is then opened at the first write.

    What is written goes on at once and completely.
    """

    def __init__(self, target: Path | RawIOBase):
        super().__init__()
        self._target = target
        self._file: Any = None if isinstance(target, Path) else target
        self._is_new = False

    def write(self, content: Any) -> int:
        if self._file is None:
            assert isinstance(self._target, Path)
            self._is_new = not os.path.lexists(self._target)
            self._file = self._target.open("xb" if self._is_new else "wb", buffering=0)
        remaining = memoryview(content)
        while remaining:
            remaining = remaining[self._file.write(remaining):]
        return len(content)

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        super().close()

    def remove(self) -> None:
        if self._is_new and isinstance(self._target, Path):
            with suppress(OSError):
                self._target.unlink()


def check_stream(name: str) -> None:
    """Raise OutputError for a stream that cannot be written, as far as it can be told before."""
    if name == "-":
        return
    path = Path(name)
    try:
        mode = path.stat().st_mode
    except OSError:
        check_new(path)
        return
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        check_new(path)
    elif not os.access(path, os.W_OK):
        raise OutputError("{subject} cannot be written.", "Choose another file for --stream.",
                          subject=path)


def stream_error(name: str, error: OSError) -> OutputError:
    return OutputError(f"--stream {{subject}} cannot be written: {error.strerror}.", subject=name)


def check_arguments(args: argparse.Namespace, num_texts: int) -> None:
    """Contradictions between flags, and files that exist already."""
    if args.prompt_text is not None and args.prompt_speech_path is None:
        raise InputError("--prompt_text is the transcript of a recording.",
                         "Add --prompt_speech_path.")
    check_one_voice(args)
    if not num_texts and (args.gender or not args.save_voice):
        raise InputError("There is no text.", "Give it by --text or by --text_file.")
    if args.output and num_texts > 1:
        raise InputError(f"--output is one file, but {args.text_file} holds {num_texts} texts.",
                         "Use --save_dir.")
    if args.stream and (args.output or args.plot):
        raise InputError("--stream writes audio while it is generated.",
                         "Leave out --output and --plot.")
    check_outputs(args, num_texts)


def check_outputs(args: argparse.Namespace, num_texts: int) -> None:
    """Files that exist already or cannot be made, and two results in one file."""
    outputs = {"--save_voice": args.save_voice}
    if num_texts and not args.stream:
        outputs["--output"] = args.output
        if args.output is None:
            check_new(args.save_dir / "speech.wav" if not args.save_dir.is_dir() else
                      unused_path(args.save_dir, "speech", ".wav"))
        elif args.plot:
            outputs["--plot"] = args.output.with_suffix(".png")
    if args.stream:
        check_stream(args.stream)
    for path in outputs.values():
        if path is not None:
            check_new(path)
    if args.stream and args.stream != "-":
        outputs["--stream"] = Path(args.stream)
    flags: dict[str, str] = {}
    for flag, path in outputs.items():
        if path is None:
            continue
        other = flags.setdefault(os.path.realpath(path), flag)
        if other != flag:
            raise OutputError(f"{other} and {flag} name the same file, {{subject}}.",
                              "Choose another name for one of them.", subject=path)


def check_one_voice(args: argparse.Namespace) -> None:
    """A voice comes from one source; what is saved is a new one."""
    sources = {
        "--prompt_speech_path": args.prompt_speech_path,
        "--voice": args.voice,
        "--gender": args.gender,
    }
    given = [flag for flag, value in sources.items() if value]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} exclude each other.", "Choose one.")
    if args.save_voice and args.voice:
        raise InputError("--save_voice saves a new voice.", "Copy the file of --voice instead.")
    if args.save_voice and args.stream and args.gender:
        raise InputError("A created voice can be saved only with a file as output.",
                         "Leave out --stream.")


def read_texts(args: argparse.Namespace) -> list[str]:
    """The texts to synthesize, none of them blank; an empty list if only a voice is to be saved."""
    if args.text is None and args.text_file is None and args.save_voice:
        return []
    if (args.text is None) == (args.text_file is None):
        raise InputError("One text is needed.", "Give it by --text or by --text_file.")
    if args.text is not None:
        return [check_text(args.text)]
    lines = read_text_file(args.text_file).split("\n")
    return [check_text(line) for line in lines if line.strip()] or [check_text("")]


def read_text_file(path: Path) -> str:
    """A UTF-8 file, with or without a byte order mark, or a pipe. Raises InputError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TEXT_BYTES + 1)
        if len(content) > MAX_TEXT_BYTES:
            raise InputError(f"{{subject}} is larger than {MAX_TEXT_BYTES >> 20} MB.",
                             "Split it.", subject=path)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("{subject} is not UTF-8 text.", "Save it as UTF-8.",
                         subject=path) from None
    except OSError as error:
        raise InputError(f"{{subject}} cannot be read: {error.strerror}.", subject=path) from None


if __name__ == "__main__":
    sys.exit(main())
