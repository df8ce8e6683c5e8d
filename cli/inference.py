"""Speak a text: python -m cli.inference --text "Hello." --prompt_speech_path prompt.wav

Flags mirror upstream's `cli/inference.py`. The last line on stdout is the path of the file written; with `--stream -` stdout
is the speech itself.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from cli.common import Parser, run_command
from sparktts_ms.audio.wav import write_wav
from sparktts_ms.errors import InputError, OutputError
from sparktts_ms.files import check_writable, unused_path
from sparktts_ms.generation.attributes import LEVELS


def parser() -> Parser:
    p = Parser(prog="python -m cli.inference", description="Spark-TTS on MindSpore: text to a 16 kHz wav file.")
    what = p.add_argument_group("what to say")
    what.add_argument("--text", help="the text to speak, of any length")
    what.add_argument("--text_file", type=Path, help="a UTF-8 file; each line becomes a file of its own")
    what.add_argument("--no-normalize", dest="normalize", action="store_false",
                      help="leave numbers and symbols to the model instead of writing them out as words")
    voice = p.add_argument_group("a voice to clone")
    voice.add_argument("--prompt_speech_path", type=Path, help="a recording of the voice; its first 6 s count")
    voice.add_argument("--prompt_text", help="transcript of the recording (at most 30 s then)")
    voice.add_argument("--voice", type=Path, metavar="FILE", help="or a voice that --save_voice wrote")
    style = p.add_argument_group("or a voice to make up")
    style.add_argument("--gender", choices=("male", "female"))
    style.add_argument("--pitch", type=level, metavar="LEVEL|HZ", help=f"{', '.join(LEVELS)}; or the median in Hz, as 180")
    style.add_argument("--speed", type=level, metavar="LEVEL|RATE", help="the same words; or syllables per second, as 4.5")
    model = p.add_argument_group("model and device")
    model.add_argument("--model_dir", type=Path, default=Path("pretrained_models/Spark-TTS-0.5B"))
    model.add_argument("--device", type=int, default=0, metavar="N", help="number of the Ascend device")
    model.add_argument("--device_target", choices=("auto", "Ascend", "CPU"), default="auto")
    model.add_argument("--mode", choices=("graph", "pynative"), default="graph")
    model.add_argument("--dtype", choices=("float32", "bfloat16"),
                       help="of the language model; bfloat16 on Ascend and float32 on CPU if not given")
    model.add_argument("--quantize", choices=("none", "int8"), default="none",
                       help="int8: the language model's matrices in 8 bits, three times as fast on a CPU")
    sampling = p.add_argument_group("sampling")
    sampling.add_argument("--seed", type=int, help="the same seed gives the same speech")
    sampling.add_argument("--temperature", type=float, default=0.8, help="0 is greedy")
    sampling.add_argument("--top_k", type=int, default=50, help="0 keeps all")
    sampling.add_argument("--top_p", type=float, default=0.95)
    sampling.add_argument("--max_new_tokens", type=int, default=3000, help="50 tokens make one second")
    result = p.add_argument_group("result")
    result.add_argument("--save_dir", type=Path, default=Path("example/results"),
                        help="folder for files named by the time")
    result.add_argument("--output", type=Path, metavar="FILE", help="write this file instead")
    result.add_argument("--stream", metavar="FILE", help="write speech while it is being made to FILE, a pipe, or - (stdout)")
    result.add_argument("--stream_format", choices=("wav", "pcm"), default="wav", help="pcm: 16-bit samples without a header")
    result.add_argument("--lookahead", type=int, default=25, metavar="FRAMES",
                        help="known behind a chunk before it is made audible, 20 ms each; 67 is exact, less is sooner")
    result.add_argument("--save_voice", type=Path, metavar="FILE",
                        help="keep the voice, cloned or made up, for --voice; without a text that is all")
    result.add_argument("--plot", action="store_true", help="a PNG with waveform and mel spectrogram beside the wav")
    return p


def level(value: str) -> str | float:
    """One of LEVELS, or a number."""
    return value if value in LEVELS else float(value)


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    return run_command(lambda: run(args), interrupted="Interrupted; unfinished speech was not written.")


def run(args) -> None:
    """Check what can be checked before the model is loaded, load, speak, write."""
    texts = read_texts(args)
    check_request(args, len(texts))
    if texts and not args.stream:
        check_writable(args.output.parent if args.output else args.save_dir)

    from sparktts_ms import Chunks, Sampling, SparkTTS, Voice  # late: bad arguments are answered before MindSpore loads

    voice = Voice.load(args.voice) if args.voice else None
    sampling = Sampling(args.temperature, args.top_k, args.top_p, args.max_new_tokens, seed=args.seed)
    chunks = Chunks(args.lookahead)
    tts = SparkTTS.from_pretrained(args.model_dir, args.device_target, args.device, args.mode, args.dtype, args.quantize)
    if args.prompt_speech_path:
        voice = tts.encode_voice(args.prompt_speech_path, args.prompt_text)
    tts.release_prompt_encoder()
    if args.save_voice and voice is not None:
        keep(voice, args)
    if args.stream:
        with opened(args.stream) as file:
            stream(tts, file, texts, voice, args, sampling, chunks)
        return
    for number, text in enumerate(texts):
        speech = speak(tts, text, voice, args, sampling)
        path = save(speech, args)
        print(path, flush=True)
        if args.save_voice and voice is None and number == 0:
            keep(speech.voice, args)
        if args.plot:
            from sparktts_ms.audio.plot import draw
            draw(path.with_suffix(".png"), speech.samples, speech.sample_rate, title=text)


def request_for(text: str, voice, args, sampling):
    from sparktts_ms import SpeechRequest

    return SpeechRequest(text, voice, args.gender, args.pitch, args.speed, sampling, args.normalize)


def speak(tts, text: str, voice, args, sampling):
    """One utterance, with a bar that shows seconds of speech."""
    from tqdm import tqdm

    with tqdm(desc="speech", unit="s", disable=None, leave=False, bar_format="{desc} {n:.1f} s [{elapsed}]") as bar:
        speech = tts.synthesize(request_for(text, voice, args, sampling),
                                progress=lambda seconds: bar.update(seconds - bar.n))
    note = "" if speech.complete else "; it was cut off, at --max_new_tokens or because the model fell silent"
    print(f"{speech.seconds:.2f} s of speech{note}", file=sys.stderr)
    return speech


def keep(voice, args) -> None:
    print(f"The voice is kept in {voice.save(args.save_voice)}", file=sys.stderr)


def stream(tts, file, texts, voice, args, sampling, chunks) -> None:
    """All utterances, one after another, into `file` as they are made."""
    from sparktts_ms.audio.wav import WavStream

    began, seconds, first = time.perf_counter(), 0.0, None
    try:
        writer = WavStream(file, tts.sample_rate, args.stream_format == "wav")
        for text in texts:
            for samples in tts.stream(request_for(text, voice, args, sampling), chunks=chunks):
                writer.write(samples)
                seconds += len(samples) / tts.sample_rate
                first = first or time.perf_counter() - began
    except BrokenPipeError:
        raise OutputError("Whoever was listening to --stream hung up.") from None
    except OSError as problem:
        raise OutputError(f"--stream {args.stream} cannot be written: {problem.strerror}.") from None
    print(f"{seconds:.2f} s of speech in {time.perf_counter() - began:.2f} s, the first of it after {first or 0:.2f} s",
          file=sys.stderr)


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """stdout, or the file or pipe `name`, for bytes. What a library prints meanwhile goes to stderr."""
    if name == "-":
        with redirect_stdout(sys.stderr):
            yield os.fdopen(os.dup(1), "wb", closefd=True)
        return
    path = Path(name)
    if path.is_file():
        raise OutputError(f"{path} exists already and is not overwritten; choose another --stream or remove it.")
    try:
        file = path.open("wb")
    except OSError as problem:
        raise OutputError(f"--stream {path} cannot be written: {problem.strerror}.") from None
    with file:
        yield file


def save(speech, args) -> Path:
    """Write the wav; a name from the clock that somebody else took meanwhile is no reason to lose what was said."""
    while True:
        path = args.output or unused_path(args.save_dir, f"{datetime.now():%Y%m%d%H%M%S}", ".wav")
        try:
            return write_wav(path, speech.samples, speech.sample_rate)
        except OutputError:
            if args.output or not path.exists():
                raise


def check_request(args, utterances: int) -> None:
    """Contradictions between flags, before anything is loaded."""
    if args.prompt_text is not None and args.prompt_speech_path is None:
        raise InputError("--prompt_text is the transcript of a recording; add --prompt_speech_path.")
    given = [flag for flag, value in (("--prompt_speech_path", args.prompt_speech_path), ("--voice", args.voice),
                                      ("--gender", args.gender)) if value]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} were given; choose one: clone a recording, use a kept voice, or make one up.")
    if not given and (args.pitch or args.speed):
        raise InputError("--pitch and --speed need a voice; add --gender female or --gender male, or a recording.")
    if not given:
        raise InputError("No voice was given: add --prompt_speech_path FILE (clone), --voice FILE (kept) or "
                         "--gender female|male (make up).")
    if args.save_voice and args.voice:
        raise InputError("--save_voice keeps a new voice; copy the file of --voice instead.")
    if args.save_voice and args.stream and args.gender:
        raise InputError("A voice that is made up can be kept with a file as result: leave out --stream.")
    if not utterances and (args.gender or not args.save_voice):
        raise InputError("Give the text to speak, either by --text or by --text_file.")
    if args.output and utterances > 1:
        raise InputError(f"--output names one file, but {args.text_file} holds {utterances} utterances; use --save_dir.")
    if args.stream and (args.output or args.plot):
        raise InputError("--stream writes speech while it is being made; leave out --output and --plot.")
    if args.lookahead < 0:
        raise InputError(f"--lookahead is {args.lookahead}; it must be 0 frames or more.")
    for path in filter(None, (args.output, args.output and args.plot and args.output.with_suffix(".png"), args.save_voice)):
        if path.exists():
            raise OutputError(f"{path} exists already and is not overwritten; choose another name or remove it.")


def read_texts(args) -> list[str]:
    """The utterances asked for, none of them blank; none at all if only a voice is to be kept."""
    if args.text is None and args.text_file is None and args.save_voice:
        return []
    if (args.text is None) == (args.text_file is None):
        raise InputError("Give the text to speak, either by --text or by --text_file.")
    if args.text is not None:
        texts = [args.text.strip()]
    else:
        try:
            lines = args.text_file.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise InputError(f"{args.text_file} is not UTF-8 text; save it as UTF-8.") from None
        except OSError as problem:
            raise InputError(f"{args.text_file} cannot be read: {problem.strerror}.") from None
        texts = [line.strip() for line in lines]
    texts = [text for text in texts if text]
    if not texts:
        raise InputError("There is no text to speak; give at least one word.")
    return texts


if __name__ == "__main__":
    sys.exit(main())
