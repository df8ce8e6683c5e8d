"""What a revision has to reach beside another one, in the same turns (`--against`), and whether.

A figure is the median of its rounds: of the ratio in each round, or in GB.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from benchmarks.plan import (
    COMMAND,
    COMMAND_MEMORY,
    FIRST_AUDIO,
    FLOAT,
    FOUR_BIT_PEERS,
    INT4,
    INT8,
    LOADING,
    PREFILL,
    SPEAK,
    TOKEN,
    TOKENS_OF_16,
    TORCH,
    Ratio,
    Results,
    int8_of,
)

NO_REVISION = "REV"         # stands for the other revision where none is measured
LABEL_WIDTH = 62


@dataclass(frozen=True)
class Target:
    """What `engine` has to reach in `task`.

    denominators: the engines beside which it is measured, in the same task; of several the fastest
    counts. Without any, the figure is its own, times `factor`. must, aim: of the figure, at most;
    with `higher_is_better`, at least. unit: of a figure that is no ratio.
    """

    name: str
    task: str
    engine: str
    denominators: tuple[str, ...]
    must: float
    aim: float
    higher_is_better: bool = False
    factor: float = 1.0
    unit: str = ""

    @property
    def engines(self) -> tuple[str, ...]:
        return (self.engine, *self.denominators)

    def figure(self, results: Results) -> float | None:
        """The median of the rounds; None if not measured."""
        own = (self.task, self.engine)
        ratios = [Ratio(self.name, own, None, self.factor)]
        if self.denominators:
            peers = [(self.task, peer) for peer in self.denominators]
            ratios = [Ratio(self.name, own, peer) for peer in peers]
            if self.higher_is_better:       # tokens a second, of figures in seconds
                ratios = [Ratio(self.name, peer, own) for peer in peers]
        rounds = [results.ratio(ratio) for ratio in ratios]
        medians = [statistics.median(figures) for figures in rounds if figures]
        if not medians:
            return None
        return min(medians) if self.higher_is_better else max(medians)

    def reaches(self, figure: float, bound: float) -> bool:
        return figure >= bound if self.higher_is_better else figure <= bound

    def verdict(self, figure: float | None) -> str:
        if figure is None:
            return "not measured"
        if self.reaches(figure, self.aim):
            return "aim reached"
        return "must reached" if self.reaches(figure, self.must) else "missed"


def targets(against: str | None) -> list[Target]:
    """Those of issue 23, beside revision `against`."""
    revision = against or NO_REVISION
    older = int8_of(revision)
    return [
        Target(f"token, int4 / {older}", TOKEN, INT4, (older,), 0.65, 0.55),
        Target("token, int4 / llama.cpp's fastest 4-bit", TOKEN, INT4, FOUR_BIT_PEERS, 0.6, 0.45),
        Target(f"token, int8 / {older}", TOKEN, INT8, (older,), 0.9, 0.82),
        Target(f"tokens/s of 16 sequences, int8 / {older}", TOKENS_OF_16, INT8, (older,), 1.6, 2.2,
               higher_is_better=True),
        Target(f"prompt of 400, int8 / {older}", PREFILL, INT8, (older,), 0.6, 0.45),
        Target("recording of 6 s to ids / PyTorch, 24 layers", "encode", FLOAT, (TORCH,), 0.65,
               0.5),
        Target(f"250 frames to waveform, int8 / {older}", "wave 250", INT8, (older,), 0.75, 0.6),
        Target(f"work a second of speech (5 s), int4 / {older}", SPEAK, INT4, (older,), 0.65, 0.55),
        Target(f"first audio, int4 / {older}", FIRST_AUDIO, INT4, (older,), 0.5, 0.4),
        Target(f"load to speak, second start, int8 / {older}", LOADING.name, INT8, (older,), 0.3,
               0.15),
        Target(f"command to wav file, 1 s, second start, int8 / {older}", COMMAND.name, INT8,
               (older,), 0.45, 0.3),
        Target("peak memory, command with transcript, int4", COMMAND_MEMORY.name, INT4, (), 1.3,
               1.0, factor=1e-9, unit="GB"),
    ]


def target_table(against: str | None, results: Results, whole: bool = True) -> str:
    """One line a target: what must be reached, what is aimed at, what was measured, the verdict.

    whole: also those that were not measured. Empty without a line.
    """
    lines = [f"{'Targets':{LABEL_WIDTH}s}{'must':>10s}{'aim':>10s}{'measured':>10s}  verdict"]
    for target in targets(against):
        figure = target.figure(results)
        if figure is None and not whole:
            continue
        bounds = [_with_unit(bound, target) for bound in (target.must, target.aim)]
        measured = "-" if figure is None else _with_unit(figure, target)
        cells = "".join(f"{cell:>10s}" for cell in (*bounds, measured))
        lines.append(f"{target.name:{LABEL_WIDTH}s}{cells}  {target.verdict(figure)}")
    return "\n".join(lines) if len(lines) > 1 else ""


def targets_as_json(against: str | None, results: Results) -> list[dict[str, Any]]:
    """Of each target `ratio` (GB for memory; null if not measured), its bounds and direction."""
    return [{"name": target.name, "ratio": target.figure(results), "must": target.must,
             "aim": target.aim, "higher_is_better": target.higher_is_better}
            for target in targets(against)]


def _with_unit(figure: float, target: Target) -> str:
    return f"{figure:.2f} {target.unit}".strip() + ("x" if target.higher_is_better else "")
