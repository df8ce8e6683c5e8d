"""Targets: which figure counts, and the verdict."""

import pytest

from benchmarks.plan import (
    COMMAND_MEMORY,
    INT4,
    INT8,
    LLAMA_Q4_0,
    LLAMA_Q4_K_M,
    TOKEN,
    TOKENS_OF_16,
    Results,
    task_groups,
)
from benchmarks.selection import everything
from benchmarks.targets import target_table, targets, targets_as_json

REV = "c47a299"


def measured(results, name):
    target = next(target for target in targets(REV) if target.name.startswith(name))
    return target, target.figure(results)


def results_of(*figures):
    """Of (task, engine, rounds)."""
    results = Results()
    for task, engine, rounds in figures:
        for figure in rounds:
            results.add(task, engine, figure)
    return results


def test_the_median_of_the_ratios_of_each_round():
    results = results_of((TOKEN, INT4, [0.010, 0.014, 0.030]),
                         (TOKEN, f"{REV} int8", [0.020, 0.020, 0.020]))
    target, figure = measured(results, "token, int4 / c47a299")
    assert figure == pytest.approx(0.7)
    assert target.verdict(figure) == "missed"
    assert target.verdict(0.65) == "must reached" and target.verdict(0.5) == "aim reached"


def test_beside_several_peers_the_fastest_counts():
    results = results_of((TOKEN, INT4, [0.010]), (TOKEN, LLAMA_Q4_0, [0.025]),
                         (TOKEN, LLAMA_Q4_K_M, [0.020]))
    assert measured(results, "token, int4 / llama")[1] == pytest.approx(0.5)
    alone = results_of((TOKEN, INT4, [0.010]), (TOKEN, LLAMA_Q4_0, [0.025]))
    assert measured(alone, "token, int4 / llama")[1] == pytest.approx(0.4)


def test_tokens_a_second_are_compared_the_other_way_round():
    results = results_of((TOKENS_OF_16, INT8, [0.04]), (TOKENS_OF_16, f"{REV} int8", [0.08]))
    target, figure = measured(results, "tokens/s of 16")
    assert figure == pytest.approx(2.0)
    assert target.verdict(figure) == "must reached" and target.verdict(1.5) == "missed"


def test_memory_is_in_gb():
    results = results_of((COMMAND_MEMORY.name, INT4, [1.25e9]))
    target, figure = measured(results, "peak memory")
    assert figure == pytest.approx(1.25) and target.verdict(figure) == "must reached"
    assert "1.25 GB  must reached" in target_table(REV, results)


def test_what_was_not_measured_is_said():
    table = target_table(None, Results())
    assert table.count("not measured") == len(targets(None)) == 12
    assert target_table(None, Results(), whole=False) == ""
    assert {entry["ratio"] for entry in targets_as_json(None, Results())} == {None}


def test_the_keys_of_the_report():
    for entry in targets_as_json(REV, Results()):
        assert list(entry) == ["name", "ratio", "must", "aim", "higher_is_better"]
        better = entry["aim"] >= entry["must"]
        assert better == entry["higher_is_better"]
    names = [entry["name"] for entry in targets_as_json(REV, Results())]
    assert len(set(names)) == 12


def test_everything_that_a_target_compares_is_measured():
    tasks = everything(task_groups(True, REV), REV)
    for target in targets(REV):
        assert set(target.engines) <= tasks[target.task], target.name
