"""How many devices a load needs: python -m tools.capacity --requests_per_second R --text_seconds S

Simulates the engine's queue, batching and chunks, its replicas and their router, with the costs of
steps that were measured on a device; prints first audio, latency and silences in playback by the
number of devices, and the smallest number that meets the target. The same command prints the same.

  first audio        from a request to its first samples
  end to end         from a request to its last samples
  lagging            requests whose playback, which begins with the first samples, is silent for
                     more than --max_silence in all
  refused            requests that found the queue full (429)
  known recordings   of the requests with a recording, those whose replica had it encoded already
  busy, slots used   of a device: its share of the time, and sequences in its steps

Other uses: --measure --model_dir DIR --output FILE measures costs on this machine, and
--check compares predictions with a server.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cli.common import Parser, path_argument, run_command
from sparktts_ms.errors import InputError, OutputError
from sparktts_ms.files import atomic_write
from tools.capacity.costs import Costs, named_costs, read_costs
from tools.capacity.workload import Workload, read_trace

DEFAULT_COSTS = "demo-cpu"


def number(least: float, most: float, whole: bool = False) -> Callable[[str], Any]:
    """The type of a flag: a number from `least` to `most`."""

    def convert(text: str) -> float:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            kind = "a whole number" if whole else "a number"
            raise argparse.ArgumentTypeError(
                f"{text[:80]!r} is not {kind} from {least:g} to {most:g}")
        return value

    return convert


def build_parser() -> Parser:
    parser = Parser(prog="python -m tools.capacity", description=__doc__,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    load = parser.add_argument_group("load")
    load.add_argument("--requests_per_second", type=number(1e-3, 1e5), metavar="R")
    load.add_argument("--streams", type=number(1, 1e6), metavar="N",
                      help="instead: so many that are played at once, on average")
    load.add_argument("--trace", type=path_argument, metavar="FILE",
                      help='instead: a request a line, {"time": 0.5, "seconds": 4.2}')
    load.add_argument("--text_seconds", type=number(0.3, 3600), default=5.0, metavar="S",
                      help="of speech that a text makes, on average (default %(default)s)")
    load.add_argument("--text_spread", type=number(0, 3), default=0.5, metavar="X",
                      help="standard deviation of that by its mean (default %(default)s)")
    load.add_argument("--sentence_seconds", type=number(1, 20), default=5.0, metavar="S",
                      help="of speech in a segment; longer texts have several")
    load.add_argument("--recording_share", type=number(0, 1), default=0.2, metavar="X",
                      help="requests that bring a recording (default %(default)s)")
    load.add_argument("--new_share", type=number(0, 1), default=0.1, metavar="X",
                      help="of those, that bring one for the first time (default %(default)s)")
    load.add_argument("--voices", type=number(1, 1e7, True), default=100, metavar="N",
                      help="recordings that come again and again (default %(default)s)")
    machines = parser.add_argument_group("devices")
    machines.add_argument("--devices", type=number(1, 1e5, True), metavar="N",
                          help="predict for this number instead of looking for the smallest")
    machines.add_argument("--max_devices", type=number(1, 1e5, True), default=20_000, metavar="N")
    machines.add_argument("--costs", metavar="NAME|FILE",
                          help=f"{', '.join(named_costs())}, or a file of --measure, `make bench` "
                               f"or cli.doctor --json (default {DEFAULT_COSTS}; --check measures)")
    machines.add_argument("--quantize", choices=("int4", "int8", "none"), default=None,
                          help="which engine of a report of `make bench` (default int8), or how "
                               "--measure and --check load the model (default none)")
    machines.add_argument("--max_ongoing", type=number(1, 1e4, True), default=20, metavar="N",
                          help="requests in a replica (default %(default)s)")
    machines.add_argument("--max_queue", type=number(0, 1e6, True), default=200, metavar="N",
                          help="requests that wait for a replica (default %(default)s)")
    machines.add_argument("--cache_size", type=number(1, 1e6, True), default=1024, metavar="N",
                          help="recordings that a replica remembers (default %(default)s)")
    machines.add_argument("--ingress_cache_size", type=number(0, 1e6, True), default=64,
                          metavar="N",
                          help="recordings that the ingress remembers (default %(default)s)")
    machines.add_argument("--without_affinity", action="store_true",
                          help="recordings go to any replica")
    machines.add_argument("--without_transcript", action="store_true",
                          help="recordings come without their text: quicker to encode")
    machines.add_argument("--hop_seconds", type=number(0, 10), default=0.0, metavar="S",
                          help="that the way through Ray Serve adds to a request")
    target = parser.add_argument_group("target")
    target.add_argument("--first_audio_p95", type=number(1e-3, 3600), default=1.0, metavar="S")
    target.add_argument("--lagging", type=number(0, 1), default=0.01, metavar="X",
                        help="largest share of requests that lag behind (default %(default)s)")
    target.add_argument("--max_silence", type=number(0, 60), default=0.5, metavar="S",
                        help="in the playback of a request that does not lag behind (default "
                             "%(default)s)")
    runs = parser.add_argument_group("runs")
    runs.add_argument("--runs", type=number(1, 100, True), default=5, metavar="N")
    runs.add_argument("--seed", type=number(0, 2**31, True), default=0, metavar="N")
    runs.add_argument("--output", type=path_argument, metavar="FILE",
                      help="write all figures, or with --measure the costs, as JSON")
    other = parser.add_argument_group("other uses")
    other.add_argument("--measure", action="store_true", help="measure costs on this machine")
    other.add_argument("--model_dir", type=path_argument, metavar="DIR")
    other.add_argument("--device_target", choices=("auto", "Ascend", "CPU"), default="auto")
    other.add_argument("--threads", type=number(1, 1024, True), metavar="N",
                       help="of each process (OMP_NUM_THREADS)")
    other.add_argument("--processes", type=number(1, 64, True), default=1, metavar="N",
                       help="that measure at once, as replicas that share a machine")
    other.add_argument("--rounds", type=number(1, 100, True), default=3, metavar="N")
    other.add_argument("--check", nargs="*", metavar="URL",
                       help="compare with these servers; without URL: with --devices of cli.serve, "
                            "which it starts")
    other.add_argument("--ray", action="store_true",
                       help="the servers of the check are replicas of Ray Serve")
    other.add_argument("--slept", action="store_true",
                       help="check rules only: the engines sleep as long as --costs says")
    other.add_argument("--rates", type=number(1e-3, 1e4), nargs="+", default=[0.8, 1.6, 2.4],
                       metavar="R", help="requests a second of the check")
    other.add_argument("--requests", type=number(4, 10_000, True), default=48, metavar="N",
                       help="of each rate and repetition of the check")
    other.add_argument("--repeats", type=number(1, 100, True), default=3, metavar="N")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(arguments)
    if args.measure or args.check is not None:
        if args.model_dir is None and not (args.check and args.costs):
            parser.error("--measure needs --model_dir DIR, and so does --check without URL and "
                         "--costs")
        if args.slept and args.costs is None:
            parser.error("--slept needs --costs NAME|FILE")
        command = run_measure if args.measure else run_check
    else:
        given = [args.requests_per_second, args.streams, args.trace]
        if sum(value is not None for value in given) != 1:
            parser.error("give one of --requests_per_second R, --streams N and --trace FILE")
        if args.trace is not None and args.devices is None:
            parser.error("--trace needs --devices N")
        command = run_prediction
    return run_command(lambda: command(args), "Interrupted.")


def run_prediction(args: argparse.Namespace) -> None:
    from tools.capacity import report, simulation

    costs = chosen_costs(args)
    arrivals = [] if args.trace is None else read_trace(args.trace, args.sentence_seconds)
    deployment = deployment_of(args)
    target = simulation.Target(args.first_audio_p95, args.lagging, args.max_silence)
    print("\n".join(report.costs_lines(costs)))
    if args.trace is not None:
        deployment = replace(deployment, devices=args.devices)
        predictions = [simulation.replay(costs, deployment, arrivals, target, args.runs,
                                         args.seed)]
        answer, workload = None, None
    else:
        workload = workload_of(args)
        print(f"{workload.rate:g} requests a second of {workload.text_seconds:g} s; on average in "
              f"playback: {workload.rate * workload.text_seconds:g}")
        if args.devices is not None:
            deployment = replace(deployment, devices=args.devices)
            predictions = [simulation.predict(costs, deployment, workload, target,
                                              args.runs, args.seed)]
            answer = args.devices if target.is_met(predictions[0]) else None
        else:
            answer, predictions = simulation.find_devices(
                costs, deployment, workload, target, args.max_devices, args.runs, args.seed,
                lambda devices: print(f"devices: {devices} ...", file=sys.stderr, flush=True))
    print(f"\n{report.table(predictions, answer)}")
    largest = predictions[-1]
    if largest["devices"] > largest["simulated_devices"]:
        print(f"More than {simulation.MAX_SIMULATED} devices are simulated as that many, with "
              "their share of the requests.")
    other = None
    if answer is not None and workload is not None and args.recording_share and answer > 1:
        other = simulation.predict(
            costs, replace(deployment, devices=answer, affinity=not deployment.affinity), workload,
            target, args.runs, args.seed)
        word = "without" if deployment.affinity else "with"
        print(f"{answer} devices {word} affinity: known recordings "
              f"{100 * other['hits']['mean']:.3g} %, first audio p95 "
              f"{other['first_audio_p95']['mean']:.2g} s, busy "
              f"{100 * other['utilization']['mean']:.3g} %")
    print(conclusion(args, answer))
    if args.output is not None:
        everything = {
            "format": "spark-tts-capacity", "version": 1, "costs": costs.name,
            "origin": costs.origin, "assumed": costs.assumed,
            "ascend_figures": report.is_ascend(costs), "devices_needed": answer,
            "target": vars(target), "arguments": shown_arguments(args),
            "predictions": predictions, "other_affinity": other}
        write_json(report.as_json(everything), args.output)


def conclusion(args: argparse.Namespace, answer: int | None) -> str:
    target = (f"first audio p95 of at most {args.first_audio_p95:g} s, at most "
              f"{100 * args.lagging:g} % lagging, none refused")
    if args.trace is not None:
        return ""
    if answer is None:
        count = f"any number of devices up to {args.max_devices}"
        if args.devices is not None:
            count = "1 device" if args.devices == 1 else f"{args.devices} devices"
        return f"Not met by {count}: {target}."
    count = "1 device is" if answer == 1 else f"{answer} devices are"
    return f"{count} {'enough' if args.devices is not None else 'needed'} for: {target}."


def run_measure(args: argparse.Namespace) -> None:
    from tools.capacity.measure import measure, render, write_costs

    costs = measure(conditions_of(args), lambda line: print(line, file=sys.stderr, flush=True))
    if args.output is not None:
        write_costs(costs, args.output)
    else:
        print(render(costs), end="")


def run_check(args: argparse.Namespace) -> None:
    from tools.capacity.check import check

    check(args, conditions_of(args), deployment_of(args))


def conditions_of(args: argparse.Namespace):
    from tools.capacity.measure import Conditions

    if args.model_dir is not None and not args.model_dir.is_dir():
        raise InputError("The model directory {subject} does not exist.", subject=args.model_dir,
                         code="no_model_dir")
    return Conditions(args.model_dir, args.device_target, args.quantize or "none", args.threads,
                      args.processes, args.rounds)


def chosen_costs(args: argparse.Namespace) -> Costs:
    named = named_costs()
    name = args.costs or DEFAULT_COSTS
    return read_costs(named.get(name, Path(name)), args.quantize or "int8")


def deployment_of(args: argparse.Namespace):
    from tools.capacity.cluster import Deployment

    return Deployment(
        max_ongoing=args.max_ongoing, max_queue=args.max_queue, affinity=not args.without_affinity,
        cache_size=args.cache_size, ingress_size=args.ingress_cache_size,
        transcripts=not args.without_transcript, hop=args.hop_seconds)


def workload_of(args: argparse.Namespace) -> Workload:
    rate = args.requests_per_second
    if rate is None:
        rate = args.streams / args.text_seconds
    return Workload(rate, args.text_seconds, args.text_spread, args.sentence_seconds,
                    args.recording_share, args.new_share, args.voices)


def shown_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """What was asked, without names of files."""
    return {key: value for key, value in vars(args).items()
            if isinstance(value, (int, float, bool)) and key not in ("measure", "rounds")}


def write_json(value: Any, path: Path) -> None:
    try:
        with atomic_write(path, overwrite=True) as file:
            file.write((json.dumps(value, indent=2) + "\n").encode())
    except OSError as error:
        raise OutputError(f"{{subject}} cannot be written: {error.strerror}.",
                          subject=path) from None


if __name__ == "__main__":
    sys.exit(main())
