"""What is measured, of whom, and which figures are made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

FLOAT, INT8, TORCH, BFLOAT16, LLAMA = "ours float32", "ours int8", "PyTorch float32", "PyTorch bfloat16", "llama.cpp Q8_0"
OURS = (FLOAT, INT8)
STAGES, GROWTH = TABLES = "Stages", "Growth"

TOKENS_PER_SECOND = 50
TOKENS_PER_WORD = 15                # 200 words a minute
BATCH_SIZES = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Row:
    """A line of a table: `of` makes its figure from the measured seconds (or bytes)."""

    label: str
    unit: str = "s"
    of: Callable[[float], float] = lambda seconds: seconds


@dataclass(frozen=True)
class Task:
    """One measurement, asked of each of `who` in turn. `rounds`: at most so many; `warm_up`: one more, kept apart."""

    measure: str
    arguments: dict[str, Any]
    who: tuple[str, ...]
    rows: tuple[Row, ...]
    table: str = STAGES
    rounds: int | None = None
    warm_up: bool = True

    @property
    def name(self) -> str:
        return " ".join([self.measure, *map(str, self.arguments.values())])


@dataclass(frozen=True)
class Ratio:
    """Measured `above` over `below`, round by round; both are (task, worker). Without `below`: `above` as it is."""

    label: str
    above: tuple[str, str]
    below: tuple[str, str] | None = None
    factor: float = 1.0
    unit: str = ""


def groups(quick: bool) -> list[list[Task]]:
    """What is measured. The tasks of a group take turns too, because their figures are compared."""
    return [
        [Task("encode", {}, (*OURS, TORCH), (Row("recording of 6 s to ids (PyTorch: wav2vec 2.0 only)"),))],
        [Task("prefill", {"context": 400}, (*OURS, TORCH, BFLOAT16, LLAMA), (Row("prompt of 400 tokens read"),))],
        [decode(400, streams) for streams in BATCH_SIZES],
        [Task("wave", {"frames": frames}, (*OURS, TORCH), (Row(f"{frames} frames to waveform"),)) for frames in (50, 250)],
        [Task("first_audio", {"tokens": 250}, OURS, (Row("text to first audio, known voice"),))],
        *([utterance(seconds)] for seconds in ((5,) if quick else (5, 20))),
        [decode(context, 1, GROWTH) for context in (0, 500, 1000, 2000, 3000)],
        *([text(words, most)] for words, most in (((10, 1),) if quick else ((10, 3), (50, 2), (200, 1)))),
    ]


def decode(context: int, streams: int, table: str = STAGES) -> Task:
    who: tuple[str, ...] = OURS
    if streams == 1 and table == STAGES:
        who = (*OURS, TORCH, BFLOAT16, LLAMA)
    together = f"a token each of {streams} at {context} positions" if streams > 1 else f"a token at {context} positions"
    rows = [Row(together, "ms", lambda seconds: 1000 * seconds)]
    if table == STAGES:
        rows.append(Row(f"{streams} stream{'s' * (streams > 1)}", "tokens/s", lambda seconds: streams / seconds))
    return Task("decode", {"context": context, "streams": streams, "steps": 20}, who, tuple(rows), table)


def utterance(length: int) -> Task:
    label = f"utterance of {length} s, known voice"
    rows = Row(label), Row(f"{label}: work a second of speech", of=lambda seconds: seconds / length)
    return Task("speak", {"tokens": length * TOKENS_PER_SECOND}, OURS, rows, rounds=3, warm_up=False)


def text(words: int, most: int) -> Task:
    tokens = words * TOKENS_PER_WORD
    row = Row(f"text of {words} words ({tokens / TOKENS_PER_SECOND:.0f} s of speech)")
    return Task("speak", {"tokens": tokens, "words": words}, OURS, (row,), GROWTH, most, warm_up=False)


def ratios() -> list[Ratio]:
    one, eight = decode(400, 1).name, decode(400, 8).name
    prefill, wave, speak = "prefill 400", "wave 250", utterance(5).name
    return [
        Ratio("a token: ours float32 / PyTorch float32", (one, FLOAT), (one, TORCH)),
        Ratio("a token: ours float32 / PyTorch bfloat16", (one, FLOAT), (one, BFLOAT16)),
        Ratio("a token: ours int8 / llama.cpp Q8_0", (one, INT8), (one, LLAMA)),
        Ratio("prompt of 400: ours float32 / PyTorch float32", (prefill, FLOAT), (prefill, TORCH)),
        Ratio("prompt of 400: ours int8 / llama.cpp Q8_0", (prefill, INT8), (prefill, LLAMA)),
        Ratio("tokens/s of 8 streams / of 1: ours float32", (one, FLOAT), (eight, FLOAT), 8),
        Ratio("tokens/s of 8 streams / of 1: ours int8", (one, INT8), (eight, INT8), 8),
        Ratio("recording to ids: ours / PyTorch wav2vec 2.0", ("encode", FLOAT), ("encode", TORCH)),
        Ratio("250 frames: ours / PyTorch float32", (wave, FLOAT), (wave, TORCH)),
        Ratio("work a second of speech (5 s): ours float32", (speak, FLOAT), factor=1 / 5),
        Ratio("work a second of speech (5 s): ours int8", (speak, INT8), factor=1 / 5),
        Ratio("first audio: ours float32", ("first_audio 250", FLOAT), unit="s"),
        Ratio("first audio: ours int8", ("first_audio 250", INT8), unit="s"),
        Ratio("peak memory, cli.inference with transcript: ours float32", (COMMAND.name, FLOAT), factor=1e-9, unit="GB"),
        Ratio("peak memory, cli.inference with transcript: ours int8", (COMMAND.name, INT8), factor=1e-9, unit="GB"),
        Ratio("peak memory: ours float32 / PyTorch float32", ("memory", FLOAT), ("memory", TORCH)),
        Ratio("peak memory: ours float32", ("memory", FLOAT), factor=1e-9, unit="GB"),
        Ratio("peak memory: ours int8", ("memory", INT8), factor=1e-9, unit="GB"),
        Ratio("peak memory, clone of a known voice: ours float32", (CLONING.name, FLOAT), factor=1e-9, unit="GB"),
        Ratio("peak memory, clone of a known voice: ours int8", (CLONING.name, INT8), factor=1e-9, unit="GB"),
    ]


# Measured by the driver rather than asked in turns.
FIRST = "first "    # of a task's name: its warm-up
LOADING = Task("load", {}, (), (Row("load, to speak (PyTorch, llama.cpp: LLM only)"),))
FIRST_RECORDING = Task(f"{FIRST}encode", {}, (), (Row("the first recording (loads wav2vec 2.0)"),))
MEMORY = Task("memory", {}, (), (Row("peak memory, all of the above", "GB", lambda size: size / 1e9),))
CLONING = Task("memory", {"after": "cloning"}, (), (Row("peak memory, clone of a known voice", "GB", lambda size: size / 1e9),))
COMMAND = Task("memory", {"after": "command"}, (), (Row("peak memory, cli.inference with recording and transcript", "GB",
                                                        lambda size: size / 1e9),))
GRAPHS = Task("graphs", {}, (), (Row("graphs compiled", ""),))


@dataclass
class Results:
    """`figures`: task name -> worker -> what each round measured: seconds, bytes or a count. `busy`, of the same layout:
    how many cores other processes kept busy meanwhile."""

    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    busy: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, task: str, worker: str, figure: float, busy: float | None = None) -> None:
        self.figures.setdefault(task, {}).setdefault(worker, []).append(figure)
        if busy is not None:
            self.busy.setdefault(task, {}).setdefault(worker, []).append(busy)

    def all_busy(self) -> list[float]:
        return [cores for workers in self.busy.values() for rounds in workers.values() for cores in rounds]

    def of(self, task: str, worker: str) -> list[float]:
        """What was measured; empty if it was not."""
        return self.figures.get(task, {}).get(worker, [])

    def ratio(self, ratio: Ratio) -> list[float]:
        above = self.of(*ratio.above)
        below = self.of(*ratio.below) if ratio.below else [1.0] * len(above)
        return [ratio.factor * a / b for a, b in zip(above, below, strict=False)]
