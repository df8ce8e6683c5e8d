"""How much of the table in tests/text/cases.tsv each text normalizer reads right, kind by kind.

`make normalizer-report` sets up the peers and runs this. A peer is told the language of each case;
ours decides it itself. All are compared in the same way (`canonical`).

    python -m tools.normalizer_report --failures ours       what ours reads wrongly
    python -m tools.normalizer_report --json report.json    counts and every reading
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "text" / "cases.tsv"
KNOWN_FAILURES = ROOT / "tests" / "text" / "known_failures.txt"
WORKER = ROOT / "tools" / "normalizer_worker.py"
ENVIRONMENTS = ROOT / ".venv-normalizers"
OURS = "ours"
PEERS = ("wetext", "WeTextProcessing", "nemo_text_processing")


@dataclass(frozen=True)
class Case:
    """A line of the table: a text and the readings of it that are right."""

    kind: str                       # language/kind, for example "zh/score"
    text: str
    readings: tuple[str, ...]

    @property
    def language(self) -> str:
        """The language that a peer is told; of a mixed text, that of most words."""
        language = self.kind.split("/")[0]
        if language == "mixed":
            han = len(re.findall(r"[\u4e00-\u9fff]", self.text))
            language = "zh" if han >= len(re.findall("[A-Za-z]+", self.text)) else "en"
        return language


@dataclass(frozen=True)
class Result:
    """What one normalizer said: a reading for each case, or the reason why there is none."""

    name: str
    said: list[str]
    problem: str = ""


def read_cases(path: Path = CASES) -> list[Case]:
    """The table: kind, text and readings separated by tabs, readings by "|", "\\n" a line break.

    Errors: ValueError with the number of a line that has another form.
    """
    cases = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 3 or not all(fields):
            raise ValueError(f"{path.name}, line {number}: not kind, text and readings")
        kind, text, readings = fields
        cases.append(Case(kind, text.replace("\\n", "\n"), tuple(readings.split("|"))))
    return cases


def canonical(text: str) -> str:
    """What is compared: lower case, no punctuation, no white space, one of characters that sound
    alike."""
    text = unicodedata.normalize("NFKC", text).lower().replace("〇", "零").replace("圆", "元")
    text = re.sub(r"\boh\b", "o", text)
    return "".join(c for c in text if unicodedata.category(c)[0] not in "PZC")


def is_right(case: Case, said: str) -> bool:
    return canonical(said) in map(canonical, case.readings)


def count_right(cases: list[Case], said: list[str]) -> dict[str, int]:
    """Right readings of each kind, in the table's order of kinds."""
    counts = dict.fromkeys((case.kind for case in cases), 0)
    for case, spoken in zip(cases, said, strict=True):
        counts[case.kind] += is_right(case, spoken)
    return counts


def render(cases: list[Case], results: list[Result]) -> str:
    """The table of counts; a normalizer that could not run has a line below it instead."""
    ran = [result for result in results if not result.problem]
    counts = [count_right(cases, result.said) for result in ran]
    totals = count_right(cases, [case.readings[0] for case in cases])
    rows = [["kind", "cases", *(result.name for result in ran)]]
    for kind, total in totals.items():
        rows.append([kind, str(total), *(str(count[kind]) for count in counts)])
    for language in ("zh", "en", "mixed", ""):
        kinds = [kind for kind in totals if kind.startswith(language)]
        sums = [sum(count[kind] for kind in kinds) for count in (totals, *counts)]
        if sums[0]:
            cells = [f"{right} ({right / sums[0]:.1%})" for right in sums[1:]]
            rows.append([f"all {language}".strip(), str(sums[0]), *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
        lines.append("  ".join(cells))
    lines += [f"{result.name}: {result.problem}" for result in results if result.problem]
    return "\n".join(lines)


def list_failures(cases: list[Case], said: list[str]) -> Iterable[str]:
    for case, spoken in zip(cases, said, strict=True):
        if not is_right(case, spoken):
            yield f"{case.kind}\t{case.text!r}"
            yield f"    said  {spoken!r}"
            yield f"    right {case.readings[0]!r}"


def read_ours(cases: list[Case]) -> Result:
    from sparktts_ms.text.normalize import normalize

    return Result(OURS, [normalize(case.text) for case in cases])


def read_peer(name: str, cases: list[Case]) -> Result:
    """A peer's readings, made by its own environment; wetext is in ours, too."""
    python = ENVIRONMENTS / name / "bin" / "python"
    if name == "wetext":
        python = Path(sys.executable)
    if not python.exists():
        return Result(name, [], "not set up, run `make normalizer-report`")
    questions = json.dumps([[case.language, case.text] for case in cases])
    command = [str(python), str(WORKER), name]
    run = subprocess.run(command, input=questions, capture_output=True, text=True, check=False)
    if run.returncode:
        lines = run.stderr.strip().splitlines() or ["it failed"]
        return Result(name, [], f"does not run on this Python: {lines[-1][:200]}")
    answer = json.loads(run.stdout.splitlines()[-1])
    return Result(f"{name} {answer['version']}", answer["said"])


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.normalizer_report", description=__doc__)
    parser.add_argument("--table", type=Path, default=CASES, help="another table of cases")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write counts and readings")
    parser.add_argument("--failures", choices=[OURS, *PEERS], metavar="NAME",
                        help="list what one normalizer reads wrongly; runs only that one")
    parser.add_argument("--write_known", action="store_true",
                        help="write what ours reads wrongly to tests/text/known_failures.txt")
    return parser


def write_json(path: Path, cases: list[Case], results: list[Result]) -> None:
    report = []
    for result in results:
        record = {"name": result.name, "problem": result.problem}
        if not result.problem:
            record["right"] = count_right(cases, result.said)
            record["said"] = {
                case.text: spoken for case, spoken in zip(cases, result.said, strict=True)}
        report.append(record)
    path.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_known(cases: list[Case], said: list[str]) -> None:
    lines = ["# Cases of cases.tsv that are not read right yet; a listed case that passes fails."]
    for case, spoken in zip(cases, said, strict=True):
        if not is_right(case, spoken):
            lines.append(f"{case.kind}\t{case.text}".replace("\n", "\\n"))
    KNOWN_FAILURES.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    arguments = build_parser().parse_args()
    cases = read_cases(arguments.table)
    if arguments.write_known:
        write_known(cases, read_ours(cases).said)
        return 0
    if arguments.failures:
        name = arguments.failures
        result = read_ours(cases) if name == OURS else read_peer(name, cases)
        print(result.problem or "\n".join(list_failures(cases, result.said)))
        return 0
    results = [read_ours(cases), *(read_peer(name, cases) for name in PEERS)]
    print(render(cases, results))
    if arguments.json:
        write_json(arguments.json, cases, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
