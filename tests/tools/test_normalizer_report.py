"""The report of text normalizers: reading the table, comparing, counting."""

import json
import sys

import pytest

from tools import normalizer_report
from tools.normalizer_report import (
    Case,
    Result,
    canonical,
    count_right,
    is_right,
    read_cases,
    render,
)

SCORE = Case("zh/score", "3:2", ("三比二",))
MONEY = Case("en/money", "It costs $5.", ("It costs five dollars.", "It costs five bucks."))
MIXED = Case("mixed/language", "见A+", ("见A加",))
CASES = [SCORE, MONEY, MIXED]


@pytest.mark.parametrize("said", [
    "It costs five dollars.", "it costs five-dollars", "It  costs “five dollars”!",
    "IT COSTS FIVE BUCKS"])
def test_case_punctuation_and_space_are_not_compared(said):
    assert is_right(MONEY, said)


@pytest.mark.parametrize("said", [
    "It costs $five dollars.", "It costs 5 dollars.", "It costs five.", ""])
def test_other_words_and_symbols_are_wrong(said):
    assert not is_right(MONEY, said)


def test_forms_that_sound_alike_are_alike():
    assert canonical("二〇二四 年，") == canonical("二零二四年")
    assert canonical("五圆") == canonical("五元") != canonical("五角")
    assert canonical("At three oh five") == canonical("at three o five") != canonical("three five")


def test_reads_fields_readings_and_line_breaks(tmp_path):
    table = tmp_path / "cases.tsv"
    table.write_text("# head\n\nen/money\tIt costs\\n$5.\tfive|a fiver\n", encoding="utf-8")
    assert read_cases(table) == [Case("en/money", "It costs\n$5.", ("five", "a fiver"))]


@pytest.mark.parametrize("line", [
    "zh/score\t3:2", "zh/score\t3:2\t三比二\tmore", "zh/score\t\t三比二"])
def test_names_the_line_of_another_form(tmp_path, line):
    table = tmp_path / "cases.tsv"
    table.write_text(f"# head\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2"):
        read_cases(table)


def test_peers_are_told_the_language():
    assert [case.language for case in CASES] == ["zh", "en", "zh"]
    assert Case("mixed/language", "I met 张伟 at 3:00.", ("",)).language == "en"


def test_counts_by_kind():
    said = ["三比二", "It costs 5 dollars.", "见A加"]
    assert count_right(CASES, said) == {"zh/score": 1, "en/money": 0, "mixed/language": 1}


def test_report_has_counts_side_by_side_totals_and_problems():
    results = [
        Result("ours", ["三比二", "It costs five dollars.", "见A加"]),
        Result("wetext 0.1", ["三比二", "five", "见A"]),
        Result("other", [], "does not run on this Python: no module"),
    ]
    lines = [line.split() for line in render(CASES, results).splitlines()]
    assert lines[0] == ["kind", "cases", "ours", "wetext", "0.1"]
    assert ["en/money", "1", "1", "0"] in lines
    assert lines[-2] == ["all", "3", "3", "(100.0%)", "1", "(33.3%)"]
    assert lines[-1] == "other: does not run on this Python: no module".split()


def test_a_peer_that_is_not_set_up_is_a_line(monkeypatch, tmp_path):
    monkeypatch.setattr(normalizer_report, "ENVIRONMENTS", tmp_path)
    result = normalizer_report.read_peer("WeTextProcessing", CASES)
    assert result.said == [] and "make normalizer-report" in result.problem


def test_a_peer_that_did_not_install_is_a_line(monkeypatch, tmp_path):
    monkeypatch.setattr(normalizer_report, "ENVIRONMENTS", tmp_path)
    python = tmp_path / "nemo_text_processing" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    result = normalizer_report.read_peer("nemo_text_processing", CASES)
    assert result.said == [] and result.problem.startswith("does not run on this Python: Module")


def test_wetext_is_read_in_a_process_of_its_own():
    result = normalizer_report.read_peer("wetext", [Case("zh/percent", "占50%", ("占百分之五十",))])
    assert result.said == ["占百分之五十"] and result.name.startswith("wetext ")


def test_json_has_counts_and_readings(tmp_path):
    results = [Result("ours", ["三比二", "five", "见A加"]), Result("other", [], "not set up")]
    normalizer_report.write_json(tmp_path / "report.json", CASES, results)
    ours, other = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert ours["right"] == {"zh/score": 1, "en/money": 0, "mixed/language": 1}
    assert ours["said"]["3:2"] == "三比二"
    assert other == {"name": "other", "problem": "not set up"}
