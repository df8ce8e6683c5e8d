"""Memory of a service under random requests: python -m tools.soak --minutes 60

Several clients send texts, recordings and transcripts of random lengths, streamed and whole; some
leave early. Every few seconds the resident memory is printed. Exit status 1: at the end it is more
than a tenth larger than after the warm-up, the first fifth of the time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sparktts_ms import Chunks, Sampling, Service, SparkTTS, SparkTTSError
from sparktts_ms.audio.recording import read_recording
from sparktts_ms.audio.wav import write_wav

ROOT = Path(__file__).resolve().parent.parent
RECORDING = ROOT / "examples" / "sparktts" / "prompt.wav"
WORDS = ("Welcome to the wonderful garden where 12 old trees stand beside a quiet river and people "
         "walk home slowly, talking; the light is soft. It costs $5 to enter! Will you come?"
         ).split()
WARM_UP = 0.2           # of the time
ALLOWED_GROWTH = 1.1


class Point(NamedTuple):
    """seconds since the start, resident memory in MB, requests done so far."""

    seconds: float
    memory: float
    requests: int


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_dir", default=str(ROOT / "pretrained_models" / "Spark-TTS-demo"))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    tts = SparkTTS.from_pretrained(args.model_dir, device_target="CPU")
    with Service(tts) as service:
        points = soak(service, 60 * args.minutes, args.clients, args.seed, report)
    before, after = growth(points)
    print(f"{points[-1].requests} requests; after the warm-up {before:.0f} MB, at the end "
          f"{after:.0f} MB: {100 * (after / before - 1):+.1f} %")
    return 0 if after <= ALLOWED_GROWTH * before else 1


def report(point: Point) -> None:
    print(f"{point.seconds / 60:6.1f} min {point.memory:8.0f} MB {point.requests:6d} requests",
          flush=True)


def growth(points: list[Point]) -> tuple[float, float]:
    """The largest memory in MB at the end of the warm-up, and in the last tenth of the time."""
    end = points[-1].seconds
    warm = max(point.memory for point in points if point.seconds <= WARM_UP * end)
    return warm, max(point.memory for point in points if point.seconds >= 0.9 * end)


def soak(service: Service, seconds: float, clients: int, seed: int,
         report: Callable[[Point], None] = lambda point: None) -> list[Point]:
    """Send random requests for so many seconds; raises what a client met unexpectedly."""
    samples = read_recording(RECORDING).samples
    start = time.monotonic()
    stop = threading.Event()
    done: list[int] = []
    errors: list[BaseException] = []

    def client(number: int) -> None:
        generator = np.random.default_rng((seed, number))
        with tempfile.TemporaryDirectory() as folder:
            while not stop.is_set():
                try:
                    request(service, generator, samples, Path(folder))
                except SparkTTSError as error:          # such as silence; memory is what counts
                    print(error, file=sys.stderr)
                except BaseException as error:
                    errors.append(error)
                    stop.set()
                    return
                done.append(number)

    threads = [threading.Thread(target=client, args=(n,), daemon=True) for n in range(clients)]
    for thread in threads:
        thread.start()
    points: list[Point] = []
    interval = max(0.2, min(30.0, seconds / 40))
    while not stop.wait(interval):
        points.append(Point(time.monotonic() - start, resident_memory(), len(done)))
        report(points[-1])
        if points[-1].seconds >= seconds:
            stop.set()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return points


def request(service: Service, generator: np.random.Generator, samples: np.ndarray,
            folder: Path) -> None:
    """One random request: a created voice or a recording's, streamed or whole."""
    text = " ".join(generator.choice(WORDS, generator.integers(1, 40)))
    sampling = Sampling(seed=int(generator.integers(1 << 31)), max_new_tokens=1000)
    options: dict = {"gender": "female", "pitch": "moderate", "speed": "moderate"}
    if generator.random() < 0.5:
        length = int(generator.integers(8000, max(8001, min(len(samples), 480_000))))
        path = folder / f"{generator.integers(1 << 60)}.wav"
        write_wav(path, samples[:length].astype(np.float32), 16000)
        transcript = " ".join(generator.choice(WORDS, 1 + length // 8000))
        options = {"voice": service.encode_voice(
            path, transcript if generator.random() < 0.5 else None)}
        path.unlink()
    chunks = Chunks() if generator.random() < 0.6 else None
    job = service.submit(text, sampling=sampling, chunks=chunks, **options)
    for _ in job:
        if generator.random() < 0.02:
            break                                       # the listener leaves


def resident_memory() -> float:
    """MB of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
