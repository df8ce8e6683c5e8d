"""The verdict of a soak test: what counts as growth, as a leak, as a failure."""

import json

import pytest

from tools.server_soak.ledger import Ledger, Point, Verdict, as_json, growth, leaks, table
from tools.server_soak.process import Usage

IDLE = Usage(memory=500.0, threads=20, files=30, temp_files=0, running=0, waiting=0)


def points(*memory, life=1):
    return [Point(n, life, IDLE.__class__(**{**vars(IDLE), "memory": megabytes}))
            for n, megabytes in enumerate(memory)]


def idle(**changes):
    return [Point(1, 1, IDLE), Point(2, 1, Usage(**{**vars(IDLE), **changes}))]


def ledger_of(memory=(500, 500), outcomes=1, **changes):
    ledger = Ledger()
    ledger.points = points(*memory)
    ledger.idle = idle(**changes)
    for _ in range(outcomes):
        ledger.count("openai mp3", "ok")
    return ledger


def judge(ledger, errors=0):
    return Verdict.of(ledger, 0, errors, max_growth=0.05)


def test_growth_compares_the_peaks_of_the_last_process():
    assert growth(points(100, 300, 200, 250, 310, 240), warm_up=2) == (300, 310)
    assert growth([*points(900, 900), *points(1, 2, 300, 310, life=2)], warm_up=2) == (300, 310)
    assert growth(points(100, 300), warm_up=5) == (300, 300)
    assert growth([], warm_up=5) == (0, 0)


def test_a_server_without_fault_passes():
    verdict = judge(ledger_of(memory=(500, 525)))
    assert verdict.problems == () and verdict.memory_growth == pytest.approx(0.05)


@pytest.mark.parametrize("ledger, errors, problem", [
    (ledger_of(memory=(500, 526)), 0, "memory grew from 500 to 526 MB"),
    (ledger_of(), 2, "2 errors"), (ledger_of(outcomes=0), 0, "no request was sent"),
    (ledger_of(threads=29), 0, "threads: 20"), (ledger_of(files=35), 0, "files: 30"),
    (ledger_of(temp_files=1), 0, "temp_files: 0"), (ledger_of(running=1), 0, "running: 1"),
    (ledger_of(waiting=2), 0, "waiting: 2")])
def test_each_fault_is_a_problem(ledger, errors, problem):
    verdict = judge(ledger, errors)
    [found] = verdict.problems
    assert found.startswith(problem)
    assert "FAILED" in table(ledger, verdict)


def test_failures_are_counted_and_kept_in_one_line():
    ledger = ledger_of()
    for _ in range(200):
        ledger.fail("slow reader", "lost", "two\nlines " + "x" * 1000)
    assert ledger.failure_count == 200 and len(ledger.failures) == 100
    assert "\n" not in ledger.failures[0] and len(ledger.failures[0]) < 350
    verdict = judge(ledger)
    assert verdict.problems == ("200 requests failed",)
    report = as_json(ledger, verdict, {"minutes": 1})
    assert report["clients"] == {"openai mp3": {"ok": 1}, "slow reader": {"lost": 200}}
    assert not report["passed"] and json.loads(json.dumps(report)) == report


def test_a_server_that_was_not_seen_idle_does_not_pass():
    assert leaks([Point(1, 1, IDLE)]) and not leaks(idle())
    assert not leaks(idle(threads=28, files=34))            # a few of both are no leak


def test_the_table_names_every_client():
    ledger = ledger_of()
    ledger.heard("openai mp3", 0.25, 3.0)
    ledger.slot_freed += [0.1, 0.3]
    text = table(ledger, judge(ledger))
    assert "openai mp3" in text and "0.25 / 0.25 s" in text and text.endswith("PASSED")
    assert "after 0.20 s, at most 0.30 s (2 times)" in text
