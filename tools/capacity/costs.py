"""What the steps of an engine cost on a device, in seconds.

A file of costs is JSON: {"format": "spark-tts-costs", "version": 1, "name", "origin", "engine",
"text", "seconds"}, as `python -m tools.capacity --measure` writes it. The reports of
`python -m benchmarks` (`make bench`) and of `python -m cli.doctor --json` are read, too; what they
do not hold is listed in `assumed`.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sparktts_ms.errors import SparkTTSError, quoted

FORMAT = "spark-tts-costs"
VERSION = 1
MAX_FILE = 10 << 20                 # bytes
FIGURES = Path(__file__).resolve().parent / "figures"
SLOTS = 16
SHOWN = ("model", "engine", "dtype", "device", "processor", "cores", "date")     # of an origin
COUNTED = ("commit", "threads", "processes")                # with their names
# Overheads of the host, in seconds, where a report has none: those of figures/demo-cpu.json.
HOST = {"poll": 4e-5, "prepare": [[20, 0.0005], [120, 0.0015]], "request": 0.01,
        "read_recording": 0.1}
# Of the released dimensions (docs/glossary.md, bicodec.codec.BiCodec): frames of 20 ms.
RELEASED_ENGINE = {"slots": SLOTS, "prefill_chunk": 64, "packs_prefills": True,
                   "compiled_lengths": True, "receptive_field": 67, "context_frames": 19}
ASCEND_ENGINE = {**RELEASED_ENGINE, "prefill_chunk": 256, "packs_prefills": False,
                 "compiled_lengths": False}
RELEASED_TEXT = {"tokens_per_second": 5.0, "prompt_tokens": 40.0}


class CostsError(SparkTTSError):
    """A file that holds no costs, or lacks one."""


class Curve:
    """Seconds as a function of a size: linear between measured points, and behind the last two;
    before the first, the first."""

    def __init__(self, points: Sequence[Sequence[float]]):
        ordered = sorted((float(x), float(y)) for x, y in points)
        self.sizes = [x for x, _ in ordered]
        self.seconds = [y for _, y in ordered]

    def __call__(self, size: float) -> float:
        sizes, seconds = self.sizes, self.seconds
        if size <= sizes[0] or len(sizes) == 1:
            return seconds[0]
        right = min(bisect_left(sizes, size), len(sizes) - 1)
        left = right - 1
        slope = (seconds[right] - seconds[left]) / (sizes[right] - sizes[left])
        return max(0.0, seconds[left] + slope * (size - sizes[left]))

    def times(self, factor: float) -> Curve:
        return Curve([(x, factor * y) for x, y in zip(self.sizes, self.seconds, strict=True)])


@dataclass(frozen=True)
class Costs:
    """Seconds of the steps of one engine, and what decides which steps it takes.

    origin: what was measured where, when and how. assumed: figures that the file did not hold.
    slots, prefill_chunk, packs_prefills: of the engine. compiled_lengths: the decoder has graphs
    for the lengths of `service.COMPILED_LENGTHS`; else its inputs are padded. receptive_field,
    context_frames: of the decoder, see `BiCodec`. tokens_per_second: of text, for each second of
    speech; prompt_tokens: the other tokens of a prompt.
    step: number of sequences -> seconds of an engine step by their mean context, sampling included.
    prefill: by tokens. front_end, generator: of the decoder, by frames, where there is a graph;
    front_end_any, generator_any: where there is none. encode, encode_speaker: a recording of 6 s
    with and without its transcript. read_recording: by a thread beside the engine. prepare: a text,
    by characters. poll: looking at one job after a step. request: what a request takes beside all
    that, from the client to the engine and back.
    """

    name: str
    origin: dict[str, Any]
    step: dict[int, Curve]
    prefill: Curve
    front_end: Curve
    generator: Curve
    front_end_any: Curve
    generator_any: Curve
    encode: float
    encode_speaker: float
    read_recording: float
    prepare: Curve
    poll: float
    request: float
    slots: int
    prefill_chunk: int
    packs_prefills: bool
    compiled_lengths: bool
    receptive_field: int
    context_frames: int
    tokens_per_second: float
    prompt_tokens: float
    assumed: tuple[str, ...] = ()
    _batches: list[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "_batches", sorted(self.step))

    def step_seconds(self, sequences: int, context: float) -> float:
        """Of an engine step that decodes so many sequences, after so many positions on average."""
        batches = self._batches
        if sequences in self.step or sequences < batches[0]:
            return self.step[max(sequences, batches[0])](context)
        right = min(bisect_left(batches, sequences), len(batches) - 1)
        low, high = batches[right - 1], batches[right]
        share = (sequences - low) / (high - low)
        return (1 - share) * self.step[low](context) + share * self.step[high](context)

    def times(self, steps: float, chunks: float) -> Costs:
        """With steps and chunks that take so many times as long."""
        return replace(
            self, step={number: curve.times(steps) for number, curve in self.step.items()},
            prefill=self.prefill.times(steps), front_end=self.front_end.times(chunks),
            generator=self.generator.times(chunks), front_end_any=self.front_end_any.times(chunks),
            generator_any=self.generator_any.times(chunks))

    @property
    def description(self) -> str:
        """One line: whose figures these are."""
        values = [str(self.origin[key]) for key in SHOWN if self.origin.get(key)]
        values += [f"{key} {self.origin[key]}" for key in COUNTED if self.origin.get(key)]
        return f"{self.name}: {', '.join(value for value in values if value not in self.name)}"


def read_costs(path: Path, quantize: str = "int8") -> Costs:
    """The costs in a file of this tool, of `python -m benchmarks` or of `cli.doctor`.

    quantize: "int4", "int8" or "none", which of our engines in a report of benchmarks. Raises
    CostsError.
    """
    data = _read_json(path)
    if data.get("format") == FORMAT:
        return parse_costs(data, path)
    if data.get("format") == "spark-tts-doctor":
        return from_doctor(data, path)
    if "raw" in data and "shown" in data:
        return from_benchmarks(data, path, quantize)
    raise CostsError("{subject} holds no costs.", "Give a file that `python -m tools.capacity "
                     "--measure`, `make bench` or `python -m cli.doctor --json` wrote.",
                     subject=path, code="no_costs")


def named_costs() -> dict[str, Path]:
    """The costs that come with this tool, by name."""
    return {path.stem: path for path in sorted(FIGURES.glob("*.json"))}


def parse_costs(data: dict[str, Any], path: Path, assumed: Sequence[str] = ()) -> Costs:
    """The costs of a JSON object in the format of this tool. Raises CostsError that names the
    figure that is missing or is no number."""
    reader = _Reader(path)
    if data.get("version") != VERSION:
        reader.fail(f"has version {quoted(data.get('version'))} of the format; this is version "
                    f"{VERSION}")
    engine = reader.section(data, "engine")
    text = reader.section(data, "text")
    seconds = reader.section(data, "seconds")
    steps = reader.section(seconds, "step", "seconds.step")
    step = {}
    for key in steps:
        if not key.isdecimal() or not 1 <= int(key[:9]) <= 4096:
            reader.fail(f"has a step of {quoted(key)} sequences")
        step[int(key)] = reader.curve(steps, key, f"seconds.step.{key}")
    if 1 not in step or len(step) < 2:
        reader.lacks("seconds.step of 1 and of more sequences")
    curves = {name: reader.curve(seconds, name, f"seconds.{name}")
              for name in ("prefill", "front_end", "generator", "prepare")}
    for name in ("front_end", "generator"):
        known = f"{name}_any" in seconds
        curves[f"{name}_any"] = (reader.curve(seconds, f"{name}_any", f"seconds.{name}_any")
                                 if known else curves[name])
    numbers = {name: reader.number(seconds, name, f"seconds.{name}")
               for name in ("encode", "encode_speaker", "read_recording", "poll", "request")}
    whole = {name: int(reader.number(engine, name, f"engine.{name}", least=1))
             for name in ("slots", "prefill_chunk", "receptive_field", "context_frames")}
    flags = {name: reader.flag(engine, name, f"engine.{name}")
             for name in ("packs_prefills", "compiled_lengths")}
    words = {name: reader.number(text, name, f"text.{name}")
             for name in ("tokens_per_second", "prompt_tokens")}
    origin = data.get("origin")
    return Costs(name=str(data.get("name", path.stem))[:80],
                 origin=origin if isinstance(origin, dict) else {}, step=step,
                 assumed=tuple(assumed), **curves, **numbers, **whole, **flags, **words)


def from_benchmarks(data: dict[str, Any], path: Path, quantize: str) -> Costs:
    """The costs in a report of `python -m benchmarks`: medians of its rounds.

    Its decoder has no graphs for short inputs, as a server has after its warm-up, so that short
    chunks are predicted to take longer than they do.
    """
    engine = f"ours {'float32' if quantize == 'none' else quantize}"
    reader = _Reader(path)
    raw = reader.section(data, "raw")

    def figure(task: str) -> float:
        rounds = raw.get(task, {}).get(engine) if isinstance(raw.get(task, {}), dict) else None
        if not isinstance(rounds, list) or not rounds or not all(map(_is_cost, rounds)):
            reader.lacks(f"{task!r} of {engine!r}")
        return sorted(rounds)[len(rounds) // 2]

    sampling = figure("sample 200")
    slope = (figure("decode 3000 1 20") - figure("decode 500 1 20")) / 2500
    step = {}
    for sequences in (1, 2, 4, 8, 16):
        at_400 = figure(f"decode 400 {sequences} 20") + sequences * sampling
        further = at_400 + sequences * max(0.0, slope) * 2600
        step[str(sequences)] = [[400, at_400], [3000, further]]
    waves = [[frames, figure(f"wave {frames}")] for frames in (50, 250)]
    encode = figure("encode")
    seconds = {**HOST, "step": step, "prefill": _from_zero(64, 64 / 400 * figure("prefill 400")),
               "front_end": [[1, 0.0]], "generator": waves, "encode": encode,
               "encode_speaker": encode}
    machine = data.get("machine") if isinstance(data.get("machine"), dict) else {}
    origin = {"model": "the released dimensions", "engine": engine, **machine,
              "command": "python -m benchmarks"}
    costs = {"version": VERSION, "name": path.stem, "origin": origin, "engine": RELEASED_ENGINE,
             "text": RELEASED_TEXT, "seconds": seconds}
    return parse_costs(costs, path, (*HOST, "encode_speaker"))


def from_doctor(data: dict[str, Any], path: Path) -> Costs:
    """The costs in a report of `cli.doctor --json`, of a CPU or an Ascend device.

    It times decode steps of 1 and 16 sequences at the context of a short prompt, one chunk of
    prefill, and the decoder once; the rest follows by proportion.
    """
    reader = _Reader(path)
    steps: dict[str, dict[str, Any]] = {}
    for result in [*_rows(data, "networks"), *_rows(data, "speech")]:
        if result.get("status") == "right" and isinstance(result.get("values"), dict):
            steps[str(result.get("step"))] = result["values"]
    trials = [trial["decode"]["values"] for trial in _rows(data, "trials")
              if trial.get("settings") == data.get("best")
              and isinstance(trial.get("decode"), dict)
              and isinstance(trial["decode"].get("values"), dict)]
    if "decode_1" not in steps and trials:
        steps["decode_1"] = trials[0]

    def figure(step: str, name: str = "ms") -> float:
        value = steps.get(step, {}).get(name)
        if not _is_cost(value):
            reader.lacks(f"{step!r}, {name!r}")
        return value / 1000 if name.endswith("ms") else value

    device = reader.section(data, "device")
    ascend = device.get("device_target") == "Ascend"
    engine = ASCEND_ENGINE if ascend else RELEASED_ENGINE
    sampling = figure("decode_16", "sample_ms")
    step = {str(n): [[400, figure(f"decode_{n}") + n * sampling]] for n in (1, 16)}
    chunk = figure("prefill", "positions")
    frames = 64 if ascend else 50           # of what the decoder is given, padding included
    encode = figure("speaker_encoder") + 6 * (figure("wav2vec2") + figure("semantic_encoder"))
    seconds = {
        **HOST, "step": step,
        "prefill": [[chunk, figure("prefill")]] if ascend else _from_zero(chunk, figure("prefill")),
        "front_end": _from_zero(frames, figure("prenet")),
        "generator": _from_zero(frames, figure("wave_generator")),
        "encode": encode, "encode_speaker": figure("speaker_encoder")}
    origin = {"model": data.get("model"), "device": device.get("chip") or "CPU",
              "command": "python -m cli.doctor"}
    costs = {"version": VERSION, "name": path.stem, "origin": origin, "engine": engine,
             "text": RELEASED_TEXT, "seconds": seconds}
    return parse_costs(costs, path, (*HOST, "steps of 2 to 15", "longer contexts",
                                     "other lengths of the decoder"))


def _from_zero(size: float, seconds: float) -> list[list[float]]:
    """A curve through one point: the same below half of the size, then in proportion."""
    return [[size / 2, seconds / 2], [size, seconds]]


def _rows(data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    rows = data.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _is_cost(value: Any) -> bool:
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and math.isfinite(value) and 0 <= value < 1e6)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise CostsError(f"{{subject}} cannot be read: {error.strerror}.",
                         f"Give a file, or one of {', '.join(named_costs())}.",
                         subject=path, code="no_costs") from None
    if len(content) > MAX_FILE:
        raise CostsError(f"{{subject}} is larger than {MAX_FILE >> 20} MB; it holds no costs.",
                         subject=path, code="no_costs")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise CostsError("{subject} is no JSON object.", "Give a file that this tool, `make bench` "
                         "or `python -m cli.doctor --json` wrote.", subject=path, code="no_costs")
    return data


class _Reader:
    """Reads figures of a JSON object; what is missing is named."""

    def __init__(self, path: Path):
        self.path = path

    def fail(self, what: str) -> None:
        raise CostsError(f"{{subject}} {what}.", "Measure it again.", subject=self.path,
                         code="wrong_costs")

    def lacks(self, name: str) -> None:
        self.fail(f"lacks the figure {name}")

    def section(self, data: dict[str, Any], key: str, name: str | None = None) -> dict[str, Any]:
        value = data.get(key)
        if not isinstance(value, dict):
            self.lacks(name or key)
        return value

    def number(self, data: dict[str, Any], key: str, name: str, least: float = 0.0) -> float:
        if key not in data:
            self.lacks(name)
        if not _is_cost(data[key]) or data[key] < least:
            self.fail(f"has {quoted(data[key])} as {name}")
        return float(data[key])

    def flag(self, data: dict[str, Any], key: str, name: str) -> bool:
        if not isinstance(data.get(key), bool):
            self.lacks(name)
        return data[key]

    def curve(self, data: dict[str, Any], key: str, name: str) -> Curve:
        points = data.get(key)
        if not isinstance(points, list) or not points:
            self.lacks(name)
        for point in points:
            if not isinstance(point, list) or len(point) != 2 or not all(map(_is_cost, point)):
                self.fail(f"has {quoted(point)} in {name}, which is no [size, seconds]")
        if len({point[0] for point in points}) < len(points):
            self.fail(f"has the same size twice in {name}")
        return Curve(points)
