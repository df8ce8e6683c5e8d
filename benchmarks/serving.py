"""Speech servers under load: python -m benchmarks.serving --url URL --streams 1 4 8 16

Measures any server with an OpenAI-compatible POST /v1/audio/speech, ours and others alike. With
--streams N so many clients send one request after another; with --rate R requests arrive at random,
R a second on average, whether or not earlier ones are done (a Poisson process). All clients are in
one process. The table goes to the screen, all figures go to --output FILE as JSON.

  real-time factor   wall time of all rounds / seconds of audio received, of all streams together
  first audio        from a request to its first samples
  end to end         from a request to its last samples
  underruns          moments at which a player that starts with the first bytes has nothing left to
                     play, and how many seconds of silence they make together
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.serving_report import Load, Measurement, as_json, table
from benchmarks.serving_texts import LONG_TEXTS, SENTENCES
from benchmarks.speech_client import Result, Target, request_speech

MAX_TEXT_FILE = 10 << 20        # bytes


@dataclass(frozen=True)
class Plan:
    """What is asked of a server.

    requests: of each stream in a round, or of each arrival rate in a round. paced: a stream waits
    until its listener has heard a text before it asks for the next.
    """

    loads: tuple[Load, ...]
    texts: tuple[str, ...] = SENTENCES
    rounds: int = 3
    requests: int = 4
    warm_up: int = 1
    paced: bool = False
    seed: int = 0


def main(arguments: list[str] | None = None) -> int:
    parser = argument_parser()
    args = parser.parse_args(arguments)
    try:
        target, plan = read_arguments(args)
    except ValueError as error:
        parser.error(str(error))
    before = os.getloadavg()
    measurements = [Measurement(load) for load in plan.loads]
    try:
        asyncio.run(measure(target, plan, measurements, log))
    except ServerUnusable as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        log("Interrupted: what follows are the rounds that were complete.")
    machine = {"cores": os.cpu_count(), "load_average_before": before[0],
               "load_average_after": os.getloadavg()[0]}
    print(table(measurements))
    print(f"Load average of the client's machine: {before[0]:.1f} before, "
          f"{machine['load_average_after']:.1f} after, on {machine['cores']} cores.")
    if args.output is not None:
        report = as_json(measurements, {"url": target.url, **request_fields(target, plan),
                                        "machine": machine})
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if any(measurement.succeeded for measurement in measurements) else 1


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True,
                        help="http://HOST:PORT, with or without /v1 or /v1/audio/speech")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4, 8, 16], metavar="N",
                        help="clients at once, each asking one text after another")
    parser.add_argument("--rate", type=float, nargs="+", metavar="R",
                        help="arrivals a second instead of --streams")
    parser.add_argument("--paced", action="store_true",
                        help="each stream listens to a text before it asks for the next")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int,
                        help="of each stream in a round (default 4), or for each rate (default 32)")
    parser.add_argument("--warm_up", type=int, default=1,
                        help="times that all streams ask at once before anything is measured")
    parser.add_argument("--long", action="store_true",
                        help="texts of four paragraphs instead of sentences")
    parser.add_argument("--texts", type=Path, metavar="FILE", help="a text a line")
    parser.add_argument("--model", default="tts-1")
    parser.add_argument("--voice", default="alloy")
    parser.add_argument("--response_format", choices=("pcm", "wav"), default="pcm")
    parser.add_argument("--stream_format", choices=("audio", "sse"))
    parser.add_argument("--sample_rate", type=int, default=24_000,
                        help="of pcm in Hz, where the response's headers do not say")
    parser.add_argument("--api_key")
    parser.add_argument("--extra_body", default="{}", metavar="JSON",
                        help='further fields of each request, such as \'{"seed": 1}\'')
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for a request")
    parser.add_argument("--seed", type=int, default=0, help="of the arrivals")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write all figures as JSON")
    return parser


def read_arguments(args: argparse.Namespace) -> tuple[Target, Plan]:
    """Raises ValueError in one line."""
    url = httpx.URL(args.url)
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("--url must be an address such as http://127.0.0.1:8000")
    try:
        extra = json.loads(args.extra_body)
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise ValueError("--extra_body must be a JSON object")
    loads = [Load(streams=streams) for streams in args.streams]
    if args.rate:
        loads = [Load(rate=rate) for rate in args.rate]
    requests = args.requests or (32 if args.rate else 4)
    positive = [args.rounds, requests, args.timeout, args.sample_rate, *args.streams]
    if min([*positive, *(args.rate or [])]) <= 0 or args.warm_up < 0:
        raise ValueError("numbers of streams, rounds, requests and seconds must be positive")
    texts = LONG_TEXTS if args.long else SENTENCES
    if args.texts is not None:
        texts = read_texts(args.texts)
    target = Target(args.url, args.model, args.voice, args.response_format, args.stream_format,
                    args.sample_rate, args.api_key, args.timeout, extra)
    return target, Plan(tuple(loads), texts, args.rounds, requests, args.warm_up, args.paced,
                        args.seed)


def read_texts(path: Path) -> tuple[str, ...]:
    """Lines that are not empty. Raises ValueError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TEXT_FILE + 1)
        lines = content.decode("utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text in UTF-8") from None
    texts = tuple(line.strip() for line in lines if line.strip())
    if not texts or len(content) > MAX_TEXT_FILE:
        raise ValueError(f"{path} must hold a text a line, {MAX_TEXT_FILE >> 20} MB at most")
    return texts


def request_fields(target: Target, plan: Plan) -> dict[str, Any]:
    """What was asked, for the JSON report; never the key."""
    lengths = [len(text) for text in plan.texts]
    return {
        "model": target.model, "voice": target.voice, "response_format": target.response_format,
        "stream_format": target.stream_format, "extra_body": target.extra,
        "rounds": plan.rounds, "requests_per_round": plan.requests, "paced": plan.paced,
        "seed": plan.seed, "text_characters": lengths}


class ServerUnusable(Exception):
    """The first request of the warm-up failed: nothing was measured."""


async def measure(target: Target, plan: Plan, measurements: Sequence[Measurement],
                  report: Callable[[str], None] = lambda line: None,
                  transport: httpx.AsyncBaseTransport | None = None) -> None:
    """All loads in turns, so that what else the machine does affects each of them; each round is
    added to its measurement when it is complete.

    Raises ServerUnusable in one line if the server refuses the very first request.
    """
    async with target.client(transport) as client:

        async def ask(text: str, due: float | None = None) -> Result:
            return await request_speech(client, target, text, due)

        first = await ask(plan.texts[0])
        if first.error is not None:
            raise ServerUnusable(f"{target.endpoint} cannot be measured ({first.error}): "
                                 f"{first.message}")
        for _ in range(plan.warm_up):
            for load in plan.loads:
                texts = itertools.islice(itertools.cycle(plan.texts), load.streams or 1)
                await asyncio.gather(*(ask(text) for text in texts))
        for number in range(plan.rounds):
            for measurement in measurements:
                clock = asyncio.get_running_loop().time
                began, cpu = clock(), time.process_time()
                results = await run_round(ask, measurement.load, plan, number)
                measurement.add(results, clock() - began, time.process_time() - cpu)
                report(f"round {number + 1} of {plan.rounds}: {measurement.load}, "
                       f"{len(results)} requests in {clock() - began:.1f} s")


async def run_round(ask: Callable[..., Awaitable[Result]], load: Load, plan: Plan,
                    number: int) -> list[Result]:
    """The requests of one round, closed-loop by streams or open-loop by arrivals."""
    if load.rate is not None:
        return await open_loop(ask, load.rate, plan, number)
    assert load.streams is not None
    streams = [closed_loop(ask, stream, plan, number) for stream in range(load.streams)]
    return list(itertools.chain.from_iterable(await asyncio.gather(*streams)))


async def closed_loop(ask: Callable[..., Awaitable[Result]], stream: int, plan: Plan,
                      number: int) -> list[Result]:
    """One client: its next request follows the last one. Streams begin with different texts."""
    results = []
    for request in range(plan.requests):
        result = await ask(plan.texts[(stream + number + request) % len(plan.texts)])
        results.append(result)
        if plan.paced and result.error is None:
            await asyncio.sleep(max(0.0, result.playback_s - result.end_to_end_s))
    return results


async def open_loop(ask: Callable[..., Awaitable[Result]], rate: float, plan: Plan,
                    number: int) -> list[Result]:
    """Arrivals of a Poisson process; latencies count from when a request was due."""
    generator = np.random.default_rng((plan.seed, number))
    arrivals = np.cumsum(generator.exponential(1 / rate, plan.requests))
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def arrive(request: int) -> Result:
        due = began + float(arrivals[request])
        await asyncio.sleep(due - loop.time())
        return await ask(plan.texts[(number + request) % len(plan.texts)], due)

    return list(await asyncio.gather(*map(arrive, range(plan.requests))))


def log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
