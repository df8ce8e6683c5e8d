"""Predicted beside measured: the same requests to a real server and to the simulation.

The costs of steps are measured just before, under the same conditions (threads, processes at once).
The arrivals are those of `benchmarks.serving --rate`; how long each speech is, is known afterwards,
and the simulation is given it. What a request takes beside the engine is measured with one request
at a time, before any load.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving import Plan, open_loop
from benchmarks.serving_report import columns
from benchmarks.serving_texts import SENTENCES
from benchmarks.speech_client import Result, Target, request_speech
from benchmarks.worker import ROOT
from sparktts_ms.errors import OutputError
from sparktts_ms.text.split import split_text
from tools.capacity.cluster import Deployment
from tools.capacity.costs import Costs, named_costs, parse_costs, read_costs
from tools.capacity.measure import Conditions, measure, write_costs
from tools.capacity.other_work import OtherWork
from tools.capacity.recorder import load_recorded, read_sums
from tools.capacity.report import costs_lines
from tools.capacity.simulation import replay
from tools.capacity.workload import Arrival
from tools.server_soak.ports import free_ports
from tools.server_soak.process import Server

TOLERANCE = 0.2
ALONE = 16                      # requests one at a time
SEED = 0
FIGURES = {"first_audio_p50": "first audio p50, s", "first_audio_p95": "first audio p95, s",
           "latency_p50": "end to end p50, s", "latency_p95": "end to end p95, s",
           "audio_seconds_per_second": "audio seconds a second"}


@dataclass
class Load:
    """Of one rate: the figures of each repetition, measured and predicted, with the costs of before
    and with those of the repetition; and how many cores other processes kept busy meanwhile."""

    rate: float
    measured: list[dict[str, float]] = field(default_factory=list)
    predicted: list[dict[str, float]] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    during: list[dict[str, float]] = field(default_factory=list)

    def medians(self, name: str, during: bool = False) -> tuple[float, float, float]:
        """Predicted, measured, and their ratio in a repetition, which has arrivals of its own.
        during: predicted with the costs of the repetition itself."""
        predicted = [figures[name] for figures in (self.during if during else self.predicted)]
        measured = [figures[name] for figures in self.measured]
        ratios = [a / b for a, b in zip(predicted, measured, strict=True)]
        return (statistics.median(predicted), statistics.median(measured),
                statistics.median(ratios))


class Servers:
    """Sends a request to the server that has the fewest in progress."""

    def __init__(self, urls: Sequence[str], timeout: float = 600.0):
        self.targets = [Target(url, timeout=timeout) for url in urls]
        self.ongoing = [0] * len(urls)

    async def ask(self, client: Any, text: str, due: float | None = None) -> Result:
        index = min(range(len(self.targets)), key=self.ongoing.__getitem__)
        self.ongoing[index] += 1
        try:
            return await request_speech(client, self.targets[index], text, due)
        finally:
            self.ongoing[index] -= 1


def check(args: argparse.Namespace, conditions: Conditions, deployment: Deployment) -> None:
    """Measure, drive the servers, simulate, print. Raises OutputError if requests fail."""
    with ExitStack() as stack:
        costs = checked_costs(args, conditions)
        print("\n".join(costs_lines(costs)))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cap-"))
        urls = args.check or start_servers(stack, args, conditions, costs, folder)
        deployment = replace(deployment, devices=args.devices or len(urls))
        if not args.ray:                        # no router in between
            deployment = replace(deployment, max_ongoing=costs.slots + deployment.max_queue)
        loads = asyncio.run(drive(urls, args, costs, deployment, Path(folder)))
    print(f"{args.repeats} repetitions of {args.requests} requests, medians")
    print(table(loads))


def checked_costs(args: argparse.Namespace, conditions: Conditions) -> Costs:
    """Those of --costs, where a file or a name is given; else they are measured now."""
    if args.costs is not None:
        return read_costs(named_costs().get(args.costs, Path(args.costs)))
    measured = measure(conditions, log)
    if args.output is not None:
        write_costs(measured, args.output)
    return parse_costs(measured, Path("measured"))


def start_servers(stack: ExitStack, args: argparse.Namespace, conditions: Conditions,
                  costs: Costs, folder: str) -> list[str]:
    """Start what is checked; returns its address, of several servers all of theirs."""
    if conditions.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(conditions.threads)
    if args.ray:
        return [start_ray(stack, args, conditions, costs, folder)]
    return start_processes(stack, args, conditions, Path(folder))


def start_processes(stack: ExitStack, args: argparse.Namespace, conditions: Conditions,
                    folder: Path) -> list[str]:
    """Start as many `cli.serve` as there are devices, or stand-ins of them."""
    urls = []
    for number, port in enumerate(free_ports(args.devices or 1)):
        model = ["--model_dir", str(conditions.model_dir), "--port", str(port)]
        if args.slept:
            command = ["tools.capacity.stand_in", *model, "--costs", args.costs]
        else:
            command = ["cli.serve", *model, "--grpc_port", "0", "--quantize", conditions.quantize,
                       "--voices", str(folder / f"voices-{number}")]
        (folder / str(number)).mkdir()
        server = Server([sys.executable, "-m", *command], port, folder / str(number))
        stack.callback(server.close)
        log(f"Starting {server.url} ...")
        server.start()
        urls.append(server.url)
    return urls


def start_ray(stack: ExitStack, args: argparse.Namespace, conditions: Conditions, costs: Costs,
              folder: str) -> str:
    """Start a Ray cluster of this machine with NPUs that are only numbers, and the application of
    `serving.ray_app` on it with a replica for each device."""
    os.environ.update({
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "SPARKTTS_MODEL_DIR": str(conditions.model_dir.resolve()),
        "SPARKTTS_DEVICE_TARGET": "CPU", "SPARKTTS_QUANTIZE": conditions.quantize,
        "RAY_AUTH_MODE": "disabled",
        "RAY_worker_niceness": "0"})            # else 15: what else a machine does would go first
    import ray
    from ray import serve

    from sparktts_ms.serving.environment import load_service
    from sparktts_ms.serving.ray_app import application
    from tools.capacity.stand_in import load_slept

    log("Starting Ray ...")
    devices = args.devices or 1
    load: Any = partial(load_recorded, load_service, costs, folder)
    if args.slept:
        load = partial(load_slept, str(conditions.model_dir.resolve()), costs)
    [port] = free_ports(1)
    ray.init(address="local", num_cpus=devices + 4, resources={"NPU": devices}, _temp_dir=folder,
             log_to_driver=False, logging_level="ERROR", include_dashboard=False,
             object_store_memory=200 << 20)
    stack.callback(ray.shutdown)                # ends Serve, too
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(application({"NPU": 1}, devices, devices, load), name="check", route_prefix="/")
    return f"http://127.0.0.1:{port}"


async def drive(urls: Sequence[str], args: argparse.Namespace, costs: Costs,
                deployment: Deployment, folder: Path) -> list[Load]:
    """All rates in turn, `repeats` times, each simulated right after."""
    servers = Servers(urls)
    async with servers.targets[0].client() as client:

        async def ask(text: str, due: float | None = None) -> Result:
            return await servers.ask(client, text, due)

        await asyncio.gather(*(ask(text) for text in SENTENCES * 2))        # warm-up
        overhead = await measure_overhead(ask, costs)
        log(f"A request takes {1000 * overhead:.1f} ms beside the engine.")
        costs = replace(costs, request=overhead)
        loads = [Load(rate) for rate in args.rates]
        for number in range(args.repeats):
            for load in loads:
                plan = Plan((), requests=args.requests, seed=SEED)
                other, before = OtherWork(), read_sums(folder)
                results = await open_loop(ask, load.rate, plan, number)
                load.busy.append(other.stop())
                await asyncio.sleep(2.0)                # the last sums are written
                factors = (read_sums(folder) - before).factors
                arrivals = trace(load.rate, plan, number, results)
                predicted = replay(costs, deployment, arrivals)
                load.measured.append(measured_figures(arrivals, results))
                load.predicted.append({name: predicted[name]["mean"] for name in FIGURES})
                during = replay(costs.times(*factors), deployment, arrivals)
                load.during.append({name: during[name]["mean"] for name in FIGURES})
                log(f"Repetition {number + 1}; steps took {factors[0]:.2f}, chunks "
                    f"{factors[1]:.2f} times what the costs say:")
                log(table([Load(load.rate, load.measured[-1:], load.predicted[-1:],
                                load.busy[-1:], load.during[-1:])]))
    return loads


async def measure_overhead(ask: Any, costs: Costs) -> float:
    """Seconds of a request alone that the simulation does not explain: HTTP, and what is in
    between."""
    differences = []
    for number in range(ALONE):
        text = SENTENCES[number % len(SENTENCES)]
        result = succeeded([await ask(text)])[0]
        arrival = Arrival(0.0, segments_of(text, result.audio_s), None, len(text))
        alone = replay(replace(costs, request=0.0), Deployment(), [arrival], runs=1)
        differences.append(result.first_audio_s - alone["first_audio_p50"]["mean"])
    return max(0.0, statistics.median(differences))


def trace(rate: float, plan: Plan, number: int, results: Sequence[Result]) -> list[Arrival]:
    """The requests of a round of `benchmarks.serving.open_loop`, with the speech that came."""
    generator = np.random.default_rng((plan.seed, number))
    times = np.cumsum(generator.exponential(1 / rate, plan.requests))
    arrivals = []
    for index, result in enumerate(succeeded(results)):
        text = plan.texts[(number + index) % len(plan.texts)]
        arrivals.append(Arrival(float(times[index]), segments_of(text, result.audio_s), None,
                                len(text)))
    return arrivals


def segments_of(text: str, seconds: float) -> tuple[float, ...]:
    """Seconds of each segment, by their characters."""
    lengths = [len(segment.text) for segment in split_text(text)]
    return tuple(seconds * length / sum(lengths) for length in lengths)


def measured_figures(arrivals: Sequence[Arrival], results: Sequence[Result]) -> dict[str, float]:
    firsts = [result.first_audio_s for result in results]
    ends = [result.end_to_end_s for result in results]
    last = max(arrival.time + end for arrival, end in zip(arrivals, ends, strict=True))
    wall = last - arrivals[0].time
    return {
        "first_audio_p50": float(np.percentile(firsts, 50)),
        "first_audio_p95": float(np.percentile(firsts, 95)),
        "latency_p50": float(np.percentile(ends, 50)),
        "latency_p95": float(np.percentile(ends, 95)),
        "audio_seconds_per_second": sum(result.audio_s or 0.0 for result in results) / wall}


def succeeded(results: Sequence[Result]) -> list[Any]:
    """The results. Raises OutputError if one is an error."""
    for result in results:
        if result.error is not None:
            raise OutputError(f"A request failed ({result.error}): {result.message}",
                              "The check needs a server that answers all of them.")
    return list(results)


def table(loads: Sequence[Load]) -> str:
    rows = [("requests a second", "figure", "measured", "predicted", "ratio", "costs of the run",
             "ratio", "others' cores")]
    for load in loads:
        for name, label in FIGURES.items():
            predicted, measured, ratio = load.medians(name)
            during, _, ratio_during = load.medians(name, during=True)
            rows.append((f"{load.rate:g}", label, f"{measured:.3g}", f"{predicted:.3g}",
                         _ratio(ratio), f"{during:.3g}", _ratio(ratio_during),
                         f"{statistics.median(load.busy):.1f}"))
    return columns(rows)


def _ratio(ratio: float) -> str:
    """With a mark if it is off by more than TOLERANCE."""
    return f"{ratio:.2f}" + ("" if abs(ratio - 1) <= TOLERANCE else " !")


def log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
