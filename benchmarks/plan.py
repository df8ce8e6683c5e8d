"""What is measured, with which engines, and which figures are made of it.

Names of engines and tasks and the labels of rows and ratios are keys of the JSON report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

FLOAT = "ours float32"
INT8 = "ours int8"
TORCH = "PyTorch float32"
BFLOAT16 = "PyTorch bfloat16"
LLAMA = "llama.cpp Q8_0"
OURS = (FLOAT, INT8)
STAGES = "Stages"
GROWTH = "Growth"
TABLES = (STAGES, GROWTH)

TOKENS_PER_SECOND = 50
TOKENS_PER_WORD = 15                # 200 words a minute
BATCH_SIZES = (1, 2, 4, 8, 16)
WARM_UP_PREFIX = "first "           # of a task's name: its first run, kept apart


def milliseconds(seconds: float) -> float:
    return 1000 * seconds


def gigabytes(size: float) -> float:
    return size / 1e9


@dataclass(frozen=True)
class Row:
    """A line of a table; `convert` makes its figure of the measured seconds (or bytes)."""

    label: str
    unit: str = "s"
    convert: Callable[[float], float] = float


@dataclass(frozen=True)
class Task:
    """One measurement, by each of `engines` in turn.

    measure: the method of the engine; arguments: of that method.
    rounds: at most so many. warm_up: one more run before them, kept apart.
    """

    measure: str
    arguments: dict[str, Any]
    engines: tuple[str, ...]
    rows: tuple[Row, ...]
    table: str = STAGES
    rounds: int | None = None
    warm_up: bool = True

    @property
    def name(self) -> str:
        return " ".join([self.measure, *map(str, self.arguments.values())])


@dataclass(frozen=True)
class Ratio:
    """`numerator` over `denominator`, round by round; both are (task, engine). Without a
    `denominator`: the numerator alone."""

    label: str
    numerator: tuple[str, str]
    denominator: tuple[str, str] | None = None
    factor: float = 1.0
    unit: str = ""


def task_groups(quick: bool) -> list[list[Task]]:
    """What is measured. The tasks of a group take turns, because their figures are compared."""
    all_engines = (*OURS, TORCH, BFLOAT16, LLAMA)
    recording = Row("recording of 6 s to ids (PyTorch: wav2vec 2.0 only)")
    groups = [
        [Task("encode", {}, (*OURS, TORCH), (recording,))],
        [Task("prefill", {"context": 400}, all_engines, (Row("prompt of 400 tokens read"),))],
        [decode(400, streams) for streams in BATCH_SIZES],
        [Task("sample", {"draws": 200}, OURS, (Row("sampling a token", "ms", milliseconds),))],
        [wave(frames) for frames in (50, 250)],
        [Task("first_audio", {"tokens": 250}, OURS, (Row("text to first audio, known voice"),))],
    ]
    groups += [[utterance(seconds)] for seconds in ((5,) if quick else (5, 20))]
    groups.append([decode(context, 1, GROWTH) for context in (0, 500, 1000, 2000, 3000)])
    lengths = ((10, 1),) if quick else ((10, 3), (50, 2), (200, 1))
    groups += [[text(words, rounds)] for words, rounds in lengths]
    return groups


def decode(context: int, streams: int, table: str = STAGES) -> Task:
    label = f"a token at {context} positions"
    if streams > 1:
        label = f"a token each of {streams} at {context} positions"
    rows = [Row(label, "ms", milliseconds)]
    engines: tuple[str, ...] = OURS
    if table == STAGES:
        label = "1 stream" if streams == 1 else f"{streams} streams"
        rows.append(Row(label, "tokens/s", lambda seconds: streams / seconds))
        if streams == 1:
            engines = (*OURS, TORCH, BFLOAT16, LLAMA)
    arguments = {"context": context, "streams": streams, "steps": 20}
    return Task("decode", arguments, engines, tuple(rows), table)


def wave(frames: int) -> Task:
    row = Row(f"{frames} frames to waveform")
    return Task("wave", {"frames": frames}, (*OURS, TORCH), (row,))


def utterance(length: int) -> Task:
    label = f"utterance of {length} s, known voice"
    work = Row(f"{label}: work a second of speech", convert=lambda seconds: seconds / length)
    arguments = {"tokens": length * TOKENS_PER_SECOND}
    return Task("speak", arguments, OURS, (Row(label), work), rounds=3, warm_up=False)


def text(words: int, rounds: int) -> Task:
    tokens = words * TOKENS_PER_WORD
    row = Row(f"text of {words} words ({tokens / TOKENS_PER_SECOND:.0f} s of speech)")
    arguments = {"tokens": tokens, "words": words}
    return Task("speak", arguments, OURS, (row,), GROWTH, rounds, warm_up=False)


# Measured by the runner itself.
LOADING = Task("load", {}, (), (Row("load, to speak (PyTorch, llama.cpp: LLM only)"),))
FIRST_RECORDING = Task(
    f"{WARM_UP_PREFIX}encode", {}, (), (Row("the first recording (loads wav2vec 2.0)"),))
MEMORY = Task("memory", {}, (), (Row("peak memory, all of the above", "GB", gigabytes),))
CLONE_MEMORY = Task(
    "memory", {"after": "cloning"}, (),
    (Row("peak memory, clone of a known voice", "GB", gigabytes),))
COMMAND_MEMORY = Task(
    "memory", {"after": "command"}, (),
    (Row("peak memory, cli.inference with recording and transcript", "GB", gigabytes),))
GRAPHS = Task("graphs", {}, (), (Row("graphs compiled", ""),))


def ratios() -> list[Ratio]:
    one = decode(400, 1).name
    eight = decode(400, 8).name
    speak = utterance(5).name
    prefill = "prefill 400"
    comparisons = [
        Ratio("a token: ours float32 / PyTorch float32", (one, FLOAT), (one, TORCH)),
        Ratio("a token: ours float32 / PyTorch bfloat16", (one, FLOAT), (one, BFLOAT16)),
        Ratio("a token: ours int8 / llama.cpp Q8_0", (one, INT8), (one, LLAMA)),
        Ratio("prompt of 400: ours float32 / PyTorch float32", (prefill, FLOAT), (prefill, TORCH)),
        Ratio("prompt of 400: ours int8 / llama.cpp Q8_0", (prefill, INT8), (prefill, LLAMA)),
        Ratio("tokens/s of 8 streams / of 1: ours float32", (one, FLOAT), (eight, FLOAT), 8),
        Ratio("tokens/s of 8 streams / of 1: ours int8", (one, INT8), (eight, INT8), 8),
        Ratio("recording to ids: ours / PyTorch wav2vec 2.0", ("encode", FLOAT), ("encode", TORCH)),
        Ratio("250 frames: ours / PyTorch float32", ("wave 250", FLOAT), ("wave 250", TORCH)),
    ]
    alone = [
        ("work a second of speech (5 s)", speak, 1 / 5, ""),
        ("first audio", "first_audio 250", 1.0, "s"),
        ("peak memory, cli.inference with transcript", COMMAND_MEMORY.name, 1e-9, "GB"),
        ("peak memory", MEMORY.name, 1e-9, "GB"),
        ("peak memory, clone of a known voice", CLONE_MEMORY.name, 1e-9, "GB"),
    ]
    for label, task, factor, unit in alone:
        if label == "peak memory":
            comparisons.append(Ratio(
                "peak memory: ours float32 / PyTorch float32", (task, FLOAT), (task, TORCH)))
        for engine in OURS:
            comparisons.append(Ratio(f"{label}: {engine}", (task, engine), None, factor, unit))
    return comparisons


@dataclass
class Results:
    """What was measured.

    figures: task -> engine -> the figure of each round: seconds, bytes or a count.
    busy: of the same layout, how many cores other processes kept busy meanwhile.
    """

    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    busy: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, task: str, engine: str, figure: float, busy: float | None = None) -> None:
        self.figures.setdefault(task, {}).setdefault(engine, []).append(figure)
        if busy is not None:
            self.busy.setdefault(task, {}).setdefault(engine, []).append(busy)

    def of(self, task: str, engine: str) -> list[float]:
        """The figures of a task; empty if it was not measured."""
        return self.figures.get(task, {}).get(engine, [])

    def all_busy(self) -> list[float]:
        cores = []
        for engines in self.busy.values():
            for rounds in engines.values():
                cores += rounds
        return cores

    def ratio(self, ratio: Ratio) -> list[float]:
        numerators = self.of(*ratio.numerator)
        denominators = [1.0] * len(numerators)
        if ratio.denominator is not None:
            denominators = self.of(*ratio.denominator)
        return [ratio.factor * a / b for a, b in zip(numerators, denominators, strict=False)]
