"""Damaged and hostile input for every reader: python -m tools.fuzz --minutes 5

The readers include a speech server, which gets requests (see fuzz_server.py). Each target gets
files made from the repository's own, changed at random, in a child process with limits of memory
and time. Only a SparkTTSError, or success, is right. For anything else the seed is printed and the
input is kept; exit status 1. `--target NAME --seed N` repeats one.
"""

from __future__ import annotations

import argparse
import base64
import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tools import fuzz_server

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "pretrained_models" / "Spark-TTS-demo"
MEMORY = 6 << 30                # bytes of address space; the readers themselves need far less
SECONDS = 20                    # for one input
BATCH = 50                      # inputs for each child process
MAX_FILE = 1 << 20              # bytes of a file of the corpus
PIECES = [b"\x00" * 8, b"\xff" * 8, b"{", b"[" * 300, b'"', b"1e999", b"-1", b"NaN", b"\n", b"\r\n",
          b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"9" * 400, b"../", b"null", b"\x1b[1m"]
TEXT = ("On May 5, 2024 at 3:30 pm we paid $5.20 for 3 kg. Call 010-8888 6666! 2024年5月5日下午"
        "3点半，我们花了5.20元买了3公斤苹果。\n- GPT-4 ½ Ω 50% x² e.g. Mr. Smith\n\n第一章\n"
        "他说：“走吧！”…\u2028☎")


def files(*patterns: str) -> list[bytes]:
    contents = []
    for pattern in patterns:
        for path in sorted(ROOT.glob(pattern)):
            contents.append(path.read_bytes()[:MAX_FILE])
    return contents


def recordings() -> list[bytes]:
    """Wav files, and the first seconds of one in other formats."""
    import io

    import soundfile

    contents = files("tests/golden/tiny/wavs/*.wav", "tests/evaluation/recordings/awb_0.flac")
    samples, rate = soundfile.read(ROOT / "examples" / "sparktts" / "prompt.wav", frames=16000)
    for kind, subtype in (("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"),
                          ("WAV", "FLOAT"), ("AIFF", "PCM_16"), ("CAF", "PCM_16")):
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
        contents.append(buffer.getvalue())
    return contents


def read_recording_file(path: Path) -> None:
    from sparktts_ms.audio.recording import read_recording

    read_recording(path)


def read_voice(path: Path) -> None:
    from sparktts_ms.voice import Voice

    Voice.load(path)


def read_settings(path: Path) -> None:
    from sparktts_ms.files import read_mapping

    read_mapping(path)


def read_voice_names(path: Path) -> None:
    from sparktts_ms.serving.voices.library import VoiceLibrary
    from sparktts_ms.serving.voices.names import read_names

    VoiceLibrary(names=read_names(path))


def read_speech_request(path: Path) -> None:
    from sparktts_ms.serving.openai.speech import SpeechParameters
    from sparktts_ms.serving.recordings.reference_audio import decode_base64
    from sparktts_ms.serving.settings import Limits

    parameters = SpeechParameters.parse(path.read_bytes(), Limits())
    if parameters.ref_audio is not None:
        decode_base64(parameters.ref_audio, 1 << 20)


def read_tokenizer(path: Path) -> None:
    from sparktts_ms.generation.vocabulary import Vocabulary

    Vocabulary(path, 151645, 166000)


def read_weights(path: Path) -> None:
    from sparktts_ms.weights.checkpoint import Checkpoint

    Checkpoint(path)


def convert_weights(path: Path) -> None:
    from sparktts_ms.weights.convert import convert

    convert(path, path.with_suffix(".safetensors"), True)


def read_manifest_file(path: Path) -> None:
    from sparktts_ms.training.manifest import read_manifest

    read_manifest(path)


def prepare_text(path: Path) -> None:
    from sparktts_ms.generation.request import SpeechRequest
    from sparktts_ms.generation.segments import iterate_segments
    from sparktts_ms.text.language import check_language
    from sparktts_ms.text.split import split_text

    text = path.read_text("utf-8", errors="surrogateescape")[:20_000]
    check_language(text, ("en", "zh"))
    list(iterate_segments(SpeechRequest(text, gender="female")))
    split_text(text)


def voices() -> list[bytes]:
    entry = {"format": "spark-tts-voice", "version": 1, "global_ids": list(range(32)),
             "semantic_ids": list(range(200)), "transcript": "What is said."}
    return [json.dumps(entry).encode(), json.dumps({**entry, "semantic_ids": [],
                                                    "transcript": None}).encode()]


def voice_names() -> list[bytes]:
    return [b"alloy: nova\nsoft: {gender: female, pitch: high, speed: low, seed: 7}\nx: soft\n"]


def speech_requests() -> list[bytes]:
    sound = base64.b64encode(bytes(range(256))).decode()
    body = {"input": TEXT, "model": "tts-1", "voice": {"id": "alloy"}, "response_format": "opus",
            "speed": 1.5, "instructions": "None.", "stream_format": "sse", "sample_rate": 24000,
            "seed": 7, "temperature": 0.8, "top_k": 50, "top_p": 0.95, "pitch": "high"}
    return [json.dumps(body).encode(), json.dumps({**body, "ref_audio": sound}).encode()]


def manifests() -> list[bytes]:
    lines = ('{"audio": "a.wav", "text": "One.", "speaker": "s", "gender": "female"}\n'
             '{"audio_filepath": "b.wav", "text": "Two."}\n')
    return [lines.encode(), b"a|One.|One.\nb|Two.|Two.\n", b"path,sentence\na.mp3,One\n"]


def texts() -> list[bytes]:
    return [TEXT.encode(), (TEXT * 40).encode(), b"a" * 5000, "天".encode() * 5000]


TARGETS: dict[str, tuple[Callable[[], list[bytes]], Callable[[Path], object], str]] = {
    "recording": (recordings, read_recording_file, "wav"),
    "voice": (voices, read_voice, "json"),
    "config": (lambda: files("pretrained_models/Spark-TTS-demo/**/config.json"), read_settings,
               "json"),
    "yaml": (lambda: files("pretrained_models/Spark-TTS-demo/**/*.yaml"), read_settings, "yaml"),
    "names": (voice_names, read_voice_names, "yaml"),
    "speech_request": (speech_requests, read_speech_request, "json"),
    "tokenizer": (lambda: files("pretrained_models/Spark-TTS-demo/LLM/tokenizer.json"),
                  read_tokenizer, "json"),
    "safetensors": (lambda: files("pretrained_models/Spark-TTS-demo/wav2vec2*/*.safetensors"),
                    read_weights, "safetensors"),
    "torch": (lambda: files("tests/golden/torch_bin/*.bin"), convert_weights, "bin"),
    "manifest": (manifests, read_manifest_file, "jsonl"),
    "text": (texts, prepare_text, "txt"),
    **fuzz_server.TARGETS,
}


def mutate(content: bytes, generator: random.Random) -> bytes:
    """The content with a few random changes, most of them near its start, where headers are."""
    data = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 4, 16))):
        end = len(data) if generator.random() < 0.5 else min(len(data), 512)
        position = generator.randrange(end + 1)
        action = generator.randrange(6)
        if action == 0 and position < len(data):
            data[position] ^= 1 << generator.randrange(8)
        elif action == 1:
            data[position:position + 4] = generator.randbytes(4)
        elif action == 2:
            data[position:position] = generator.choice(PIECES)
        elif action == 3:
            del data[position:position + generator.choice((1, 4, 64, 4096))]
        elif action == 4:
            begin = generator.randrange(len(data) + 1)
            data[position:position] = data[begin:begin + generator.choice((4, 64, 4096))]
        else:
            del data[position:]
    return bytes(data)


def make_input(target: str, seed: int) -> bytes:
    generator = random.Random(f"{target} {seed}")
    return mutate(generator.choice(TARGETS[target][0]()), generator)


def run_inputs(target: str, seeds: range, folder: str, queue: multiprocessing.Queue) -> None:
    """In a child process: one input after another; says which it is at, and what went wrong."""
    from sparktts_ms.errors import SparkTTSError

    corpus, read, suffix = TARGETS[target]
    contents = corpus()
    path = Path(folder) / f"input.{suffix}"
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for seed in seeds:
        generator = random.Random(f"{target} {seed}")
        path.write_bytes(mutate(generator.choice(contents), generator))
        queue.put(("begin", seed, ""))
        if seed == seeds.start:         # what is imported has been mapped by now
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        try:
            read(path)
        except SparkTTSError as error:
            if "\n" in str(error) or len(str(error)) > 1000:
                queue.put(("wrong", seed, f"a message of {len(str(error))} characters"))
        except BaseException:
            queue.put(("wrong", seed, traceback.format_exc(limit=-3)))
    queue.put(("end", seeds.stop, ""))


def fuzz(target: str, first: int, seconds: float, kept: Path) -> tuple[int, int]:
    """Fuzz one target for so many seconds. Returns the number of inputs and of failures."""
    context = multiprocessing.get_context("spawn")
    deadline = time.monotonic() + seconds
    seed = first
    failures = 0
    while time.monotonic() < deadline or seed == first:
        seeds = range(seed, seed + BATCH)
        with tempfile.TemporaryDirectory() as folder:
            queue = context.Queue()
            child = context.Process(target=run_inputs, args=(target, seeds, folder, queue))
            child.start()
            found, seed = follow(child, queue, seed, deadline)
            child.kill()
            child.join()
        for failed, reason in found:
            failures += 1
            kept.mkdir(parents=True, exist_ok=True)
            path = kept / f"{target}-{failed}.{TARGETS[target][2]}"
            path.write_bytes(make_input(target, failed))
            print(f"FAILED {target}, --seed {failed}, input {path}\n{reason}", flush=True)
    return seed - first, failures


def follow(child, queue, seed: int, deadline: float) -> tuple[list[tuple[int, str]], int]:
    """What went wrong in a child process, and the seed after the last that it has done."""
    found: list[tuple[int, str]] = []
    waited = -100.0             # the first input waits for imports, too
    started = False
    while True:
        try:
            event, number, reason = queue.get(timeout=1)
        except Exception:       # queue.Empty
            waited += 1
            if not child.is_alive() and queue.empty():
                found.append((seed, f"The process ended with status {child.exitcode}."))
                return found, seed + 1
            if waited > SECONDS:
                found.append((seed, f"No answer within {SECONDS} s."))
                return found, seed + 1
            continue
        if event == "end":
            return found, number
        if event == "wrong":
            found.append((number, reason))
            continue
        if started and time.monotonic() > deadline:
            return found, number
        waited = 0.0 if started else -100.0
        started = True
        seed = number


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="shared by all targets")
    parser.add_argument("--target", choices=list(TARGETS), action="append")
    parser.add_argument("--seed", type=int, help="of the first input; default: from the time")
    parser.add_argument("--keep", type=Path, default=Path(".cache/fuzz"), metavar="DIR",
                        help="folder for inputs that failed")
    args = parser.parse_args(arguments)
    targets = args.target or list(TARGETS)
    first = int(time.time()) if args.seed is None else args.seed
    total = 0
    for target in targets:
        count, failures = fuzz(target, first, 60 * args.minutes / len(targets), args.keep)
        print(f"{target}: {count} inputs from --seed {first}, {failures} failures", flush=True)
        total += failures
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
