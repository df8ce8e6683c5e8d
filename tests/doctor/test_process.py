"""Steps in a process of their own: results, errors, crashes, hangs."""

import time

import pytest

from sparktts_ms.doctor import process
from sparktts_ms.doctor.process import SETTINGS_VARIABLE, Clock, Context, Request, run_steps
from sparktts_ms.ops import ascend

FAKES = "tests.doctor.fakes:STEPS"
CONTEXT = Context("model", steps=FAKES)


def run(*steps, limit=60.0, step_limit=40.0, context=CONTEXT):
    begun = []
    results = run_steps(context, steps, Clock(100), limit, begun.append, step_limit)
    assert [result.step for result in results] == list(steps)
    return results, begun


def statuses(results):
    return [result.status for result in results]


def test_results_come_in_order():
    results, begun = run("right", "wrong", "skips")
    assert statuses(results) == ["right", "wrong", "skipped"]
    assert results[2].message == "it would take 70 s"
    assert results[0].values == {"error": 1e-6, "ids": [3, 3], "ms": 2.0}
    assert results[1].values["error"] is None           # JSON has no NaN
    assert begun == ["right", "wrong", "skips"]


def test_an_error_ends_only_its_step():
    results, _ = run("fails", "refuses", "right")
    assert results[0].message == "RuntimeError: The operator is not supported."
    assert results[1].message == ("The chip Ascend310P3 is not supported: no bfloat16. "
                                  "Use another.")
    assert results[1].code == "unsuitable_chip"
    assert statuses(results) == ["failed", "failed", "right"]


def test_a_crash_ends_only_its_step():
    results, begun = run("crashes", "leaves", "right")
    assert results[0].message == ("the process was ended by SIGABRT: "
                                  "what():  CANN has no such operator")
    assert results[1].message == "the process ended with status 3: it said nothing"
    assert statuses(results) == ["failed", "failed", "right"]
    assert begun == ["crashes", "leaves", "right"]


def test_a_hang_ends_only_its_step():
    results, _ = run("right", "hangs", "wrong", step_limit=6.0)
    assert results[1].message == "no answer within 6 s"
    assert statuses(results) == ["right", "failed", "wrong"]


def test_steps_beyond_the_limit_are_skipped():
    began = time.monotonic()
    results, _ = run("hangs", "right", limit=1.0)
    assert time.monotonic() - began < 10
    assert statuses(results) == ["failed", "skipped"]
    assert results[1].message == "no time was left"


def test_interruption_ends_the_worker(monkeypatch):
    killed = []
    kill = process.kill
    monkeypatch.setattr(process, "kill", lambda child: (kill(child), killed.append(child)))

    def interrupt(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_steps(CONTEXT, ["hangs"], Clock(60), 30, interrupt, 30)
    assert killed[0].returncode is not None


@pytest.mark.parametrize("settings", [None, {"settings": {"jit_level": "O1"}}])
def test_settings_are_in_a_file_that_runtime_reads(settings):
    context = Context("model", "CPU", 0, "float32", "r.npz", settings, FAKES)
    results, _ = run("settings", context=context)
    assert results[0].values == {"settings": settings, "dtype": "float32"}


def test_the_variable_is_that_of_runtime():
    assert SETTINGS_VARIABLE == ascend.SETTINGS_VARIABLE


def test_requests_survive_json():
    request = Request(CONTEXT, ["right"], "results.jsonl")
    assert Request.parse(request.dump()) == request
