"""What is measured, with which engines, and which figures are made of it.

Names of engines and tasks and the labels of rows and ratios are keys of the JSON report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

FLOAT = "ours float32"
INT8 = "ours int8"
INT4 = "ours int4"
TORCH = "PyTorch float32"
BFLOAT16 = "PyTorch bfloat16"
LLAMA = "llama.cpp Q8_0"
LLAMA_Q4_0 = "llama.cpp Q4_0"
LLAMA_Q4_K_M = "llama.cpp Q4_K_M"
OURS = (FLOAT, INT8, INT4)
FOUR_BIT_PEERS = (LLAMA_Q4_0, LLAMA_Q4_K_M)
PEERS = (TORCH, BFLOAT16, LLAMA, *FOUR_BIT_PEERS)
STAGES = "Stages"
GROWTH = "Growth"
LONG = "Long text"
TABLES = (STAGES, GROWTH, LONG)

TOKENS_PER_SECOND = 50
TOKENS_PER_WORD = 15                # 200 words a minute
BATCH_SIZES = (1, 2, 4, 8, 16)
WARM_UP_PREFIX = "first "           # of a task's name: its first run, kept apart


def float_of(revision: str) -> str:
    """The engine of another revision of ours, in float32."""
    return f"{revision} float32"


def int8_of(revision: str) -> str:
    """The engine of another revision of ours, in int8."""
    return f"{revision} int8"


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


def task_groups(quick: bool, against: str | None = None) -> list[list[Task]]:
    """What is measured. The tasks of a group take turns, because their figures are compared.

    against: another revision of ours, which measures what the targets compare, in the same turns.
    """
    older = () if against is None else (float_of(against), int8_of(against))
    older_int8 = older[1:]
    all_engines = (*OURS, *older, *PEERS)
    recording = Row("recording of 6 s to ids (PyTorch: wav2vec 2.0 only)")
    first_audio = Row("text to first audio, known voice")
    first_of_many = Row("text of 100 words to first audio, known voice")
    groups = [
        [Task("encode", {}, (*OURS, *older[:1], TORCH), (recording,))],
        [Task("prefill", {"context": 400}, all_engines, (Row("prompt of 400 tokens read"),))],
        [decode(400, 1, (*all_engines,)),
         *(decode(400, streams, (*OURS, *older_int8)) for streams in BATCH_SIZES[1:])],
        [Task("sample", {"draws": 200}, OURS, (Row("sampling a token", "ms", milliseconds),))],
        [wave(50, (*OURS, TORCH)), wave(250, (*OURS, *older, TORCH))],
        [Task("first_audio", {"tokens": 250}, (*OURS, *older_int8), (first_audio,)),
         Task("first_audio", {"tokens": 250, "words": 100}, (*OURS, *older_int8),
              (first_of_many,))],
    ]
    lengths = (5,) if quick else (5, 20)
    groups += [[utterance(seconds, (*OURS, *older_int8))] for seconds in lengths]
    groups.append([decode(context, 1, OURS, GROWTH) for context in (0, 500, 1000, 2000, 3000)])
    texts = ((10, 1),) if quick else ((10, 3), (50, 2), (200, 1))
    groups += [[text(words, rounds)] for words, rounds in texts]
    return groups


def decode(context: int, streams: int, engines: tuple[str, ...], table: str = STAGES) -> Task:
    label = f"a token at {context} positions"
    if streams > 1:
        label = f"a token each of {streams} at {context} positions"
    rows = [Row(label, "ms", milliseconds)]
    if table == STAGES:
        label = "1 stream" if streams == 1 else f"{streams} streams"
        rows.append(Row(label, "tokens/s", lambda seconds: streams / seconds))
    arguments = {"context": context, "streams": streams, "steps": 20}
    return Task("decode", arguments, engines, tuple(rows), table)


def wave(frames: int, engines: tuple[str, ...]) -> Task:
    return Task("wave", {"frames": frames}, engines, (Row(f"{frames} frames to waveform"),))


def utterance(length: int, engines: tuple[str, ...]) -> Task:
    label = f"utterance of {length} s, known voice"
    work = Row(f"{label}: work a second of speech", convert=lambda seconds: seconds / length)
    arguments = {"tokens": length * TOKENS_PER_SECOND}
    return Task("speak", arguments, engines, (Row(label), work), rounds=3, warm_up=False)


def text(words: int, rounds: int) -> Task:
    tokens = words * TOKENS_PER_WORD
    row = Row(f"text of {words} words ({tokens / TOKENS_PER_SECOND:.0f} s of speech)")
    arguments = {"tokens": tokens, "words": words}
    return Task("speak", arguments, OURS, (row,), GROWTH, rounds, warm_up=False)


# Measured by the runner itself. Of ours, a start is the second or a later one: kernels are
# compiled, and packed weights are in the cache, where the revision has one.
LOADING = Task("load", {}, (), (Row("load, to speak (PyTorch, llama.cpp: LLM only)"),))
FIRST_RECORDING = Task(
    f"{WARM_UP_PREFIX}encode", {}, (), (Row("the first recording (loads wav2vec 2.0)"),))
COMMAND = Task(
    "command", {}, (), (Row("typed command to wav file, 1 s of speech, known voice"),))
MEMORY = Task("memory", {}, (), (Row("peak memory, all of the above", "GB", gigabytes),))
CLONE_MEMORY = Task(
    "memory", {"after": "cloning"}, (),
    (Row("peak memory, clone of a known voice", "GB", gigabytes),))
COMMAND_MEMORY = Task(
    "memory", {"after": "command"}, (),
    (Row("peak memory, cli.inference with recording and transcript", "GB", gigabytes),))
GRAPHS = Task("graphs", {}, (), (Row("graphs compiled", ""),))
QUALITY = Task("quality", {}, (), ())
LIMITS = Task("limits", {}, (), ())
LONG_TEXT = Task("long", {}, (), (Row("work a second of speech"),), LONG)
LONG_MEMORY = Task(
    "memory", {"after": "long"}, (), (Row("peak memory", "GB", gigabytes),), LONG)

TOKEN = "decode 400 1 20"
TOKENS_OF_16 = "decode 400 16 20"
PREFILL = "prefill 400"
SPEAK = "speak 250"
FIRST_AUDIO = "first_audio 250"
FIRST_AUDIO_OF_MANY = "first_audio 250 100"


def ratios(against: str | None = None) -> list[Ratio]:
    eight = "decode 400 8 20"
    comparisons = [
        Ratio("a token: ours float32 / PyTorch float32", (TOKEN, FLOAT), (TOKEN, TORCH)),
        Ratio("a token: ours float32 / PyTorch bfloat16", (TOKEN, FLOAT), (TOKEN, BFLOAT16)),
        Ratio("a token: ours int8 / llama.cpp Q8_0", (TOKEN, INT8), (TOKEN, LLAMA)),
        Ratio("a token: ours int4 / ours int8", (TOKEN, INT4), (TOKEN, INT8)),
        Ratio("a token: ours int4 / llama.cpp Q4_0", (TOKEN, INT4), (TOKEN, LLAMA_Q4_0)),
        Ratio("a token: ours int4 / llama.cpp Q4_K_M", (TOKEN, INT4), (TOKEN, LLAMA_Q4_K_M)),
        Ratio("prompt of 400: ours float32 / PyTorch float32", (PREFILL, FLOAT), (PREFILL, TORCH)),
        Ratio("prompt of 400: ours int8 / llama.cpp Q8_0", (PREFILL, INT8), (PREFILL, LLAMA)),
        Ratio("tokens/s of 8 streams / of 1: ours float32", (TOKEN, FLOAT), (eight, FLOAT), 8),
        Ratio("tokens/s of 8 streams / of 1: ours int8", (TOKEN, INT8), (eight, INT8), 8),
        Ratio("recording to ids: ours / PyTorch wav2vec 2.0", ("encode", FLOAT), ("encode", TORCH)),
        Ratio("250 frames: ours / PyTorch float32", ("wave 250", FLOAT), ("wave 250", TORCH)),
    ]
    if against is not None:
        older = int8_of(against)
        comparisons += [
            Ratio(f"load: ours int4 / {older}", (LOADING.name, INT4), (LOADING.name, older)),
            Ratio(f"command to wav file: ours int4 / {older}",
                  (COMMAND.name, INT4), (COMMAND.name, older)),
            Ratio(f"a token: ours float32 / {float_of(against)}",
                  (TOKEN, FLOAT), (TOKEN, float_of(against))),
            Ratio(f"first audio of 100 words: ours int4 / {older}",
                  (FIRST_AUDIO_OF_MANY, INT4), (FIRST_AUDIO_OF_MANY, older)),
            Ratio(f"long text, work: ours int4 / {older}",
                  (LONG_TEXT.name, INT4), (LONG_TEXT.name, older)),
        ]
    alone = [
        ("work a second of speech (5 s)", SPEAK, 1 / 5, ""),
        ("first audio", FIRST_AUDIO, 1.0, "s"),
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
