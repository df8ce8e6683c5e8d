"""Counts and times, on a clock that is set by hand."""

import asyncio

import pytest

from sparktts_ms.serving.kserve import statistics
from sparktts_ms.serving.kserve.statistics import ModelStatistics, Stages


class Clock:
    now = 0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(statistics, "perf_counter_ns", clock)
    return clock


def test_stages_are_timed(clock):
    model = ModelStatistics("vocoder", "1")
    with model.request() as stages:
        clock.now += 100
        stages.enter("compute_infer")
        clock.now += 5000
        stages.enter("compute_output")
        clock.now += 30
        stages.move(2000, "compute_infer", "queue")
        stages.batch = 3
    stats = model.to_dict()
    inference = stats["inference_stats"]
    assert {name: inference[name]["ns"] for name in statistics.STAGES} == {
        "queue": 2000, "compute_input": 100, "compute_infer": 3000, "compute_output": 30}
    assert inference["success"] == {"count": 1, "ns": 5130}
    assert stats["inference_count"] == 3 and stats["execution_count"] == 1
    assert stats["last_inference"] > 0
    assert stats["batch_stats"] == [{
        "batch_size": 3, "compute_input": {"count": 1, "ns": 100},
        "compute_infer": {"count": 1, "ns": 3000}, "compute_output": {"count": 1, "ns": 30}}]


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
def test_failed_requests_are_counted_apart(clock, error):
    model = ModelStatistics("vocoder", "1")
    with pytest.raises(error), model.request():
        clock.now += 70
        raise error
    stats = model.to_dict()
    assert stats["inference_stats"]["fail"] == {"count": 1, "ns": 70}
    assert stats["inference_stats"]["success"] == {"count": 0, "ns": 0}
    assert stats["batch_stats"] == [] and stats["last_inference"] == 0


def test_no_time_is_zero(clock):
    """Upstream's client reads times from protobuf's JSON, which leaves out zeros."""
    model = ModelStatistics("vocoder", "1")
    with model.request():
        pass
    times = [model.to_dict()["inference_stats"][name]["ns"] for name in statistics.STAGES]
    assert min(times) > 0


def test_no_more_time_is_moved_than_there_is(clock):
    stages = Stages()
    clock.now = 10
    stages.enter("compute_infer")
    stages.move(99, "compute_input", "queue")
    assert stages.ns == {"queue": 10, "compute_input": 0, "compute_infer": 0, "compute_output": 0}
    stages.move(-5, "queue", "compute_infer")
    assert stages.total == 10 and stages.ns["queue"] == 10
