"""One simulated engine against queueing theory, and against what its rules say by hand."""

import numpy as np
import pytest
import simpy

from tests.tools.capacity.costs_of import costs_of
from tools.capacity.cluster import Deployment, simulate
from tools.capacity.device import Device, Job
from tools.capacity.workload import Arrival

UNLIMITED = Deployment(max_ongoing=10**6, max_queue=10**6)
STEP = 0.01
FRAMES = 29
SERVICE = (FRAMES + 1) * STEP        # until the slot is free; one more step notices the end


def one_slot_queue(service: str, rate: float, count: int, seed: int) -> float:
    """Mean seconds in the system of an engine with one slot, whose only cost is a step.

    A request of f frames takes f + 2 steps: its ids, the id that ends them, and the step after
    which nothing of it is left.
    """
    random = np.random.default_rng(seed)
    times = np.cumsum(random.exponential(1 / rate, count))
    frames = np.full(count, float(FRAMES))
    if service == "M":
        frames = np.maximum(1, np.round(random.exponential(FRAMES, count)))
    arrivals = [Arrival(float(time), (float(n) / 50,))
                for time, n in zip(times, frames, strict=True)]
    costs = costs_of(slots=1, step={"1": [[0, STEP]], "16": [[0, STEP]]})
    records, _ = simulate(costs, UNLIMITED, arrivals, seed)
    return float(np.mean([record.latency for record in records]))


@pytest.mark.parametrize("utilization", [0.3, 0.7])
def test_one_slot_of_fixed_length_is_an_md1_queue(utilization):
    rate = utilization / SERVICE
    # Pollaczek-Khinchine: W = s + rho s / (2 (1 - rho))
    expected = SERVICE + utilization * SERVICE / (2 * (1 - utilization)) + STEP
    measured = np.mean([one_slot_queue("D", rate, 2000, seed) for seed in range(2)])
    assert measured == pytest.approx(expected, rel=0.05)


def test_one_slot_of_random_length_is_an_mm1_queue():
    expected = SERVICE / (1 - 0.5) + STEP               # W = s / (1 - rho)
    measured = np.mean([one_slot_queue("M", 0.5 / SERVICE, 3000, seed) for seed in range(2)])
    assert measured == pytest.approx(expected, rel=0.07)


def speak(costs, *lengths: float) -> list[Job]:
    """Requests of these seconds at once; the jobs when all have ended."""
    env = simpy.Environment()
    device = Device(env, costs)
    ended: list[Job] = []
    for seconds in lengths:
        device.speak(Job(Arrival(0.0, (seconds,)), ended.append))
    env.run()
    return ended


def test_sequences_share_steps_up_to_the_slots():
    """40 requests of 1 s, 51 steps each (50 ids and the end): 16, 16 and 8 at a time."""
    costs = costs_of(step={"1": [[0, STEP]], "16": [[0, STEP]]})
    jobs = speak(costs, *[1.0] * 40)
    assert max(job.end for job in jobs) == pytest.approx(3 * 51 * STEP, abs=3 * STEP)
    assert sum(job.chunk_times[0][0] < 51 * STEP for job in jobs) == 16


def test_first_chunk_of_a_lone_stream_waits_for_8_frames_and_8_more():
    costs = costs_of(step={"1": [[0, STEP]], "16": [[0, STEP]]}, generator=[[1, 0.5], [16, 0.5]])
    [job] = speak(costs, 2.0)
    time, seconds = job.chunk_times[0]
    assert time == pytest.approx(16 * STEP + 0.5)
    assert seconds == pytest.approx(8 / 50)


def test_all_samples_come_once():
    for job in speak(costs_of(), 0.5, 3.0, 7.3):
        assert sum(seconds for _, seconds in job.chunk_times) == pytest.approx(
            job.arrival.seconds)


def test_prompts_share_prefill_chunks():
    """Prompts of 30 ids, of which the last is decoded: 29 + 29 + 6 of 64 are in the first one."""
    costs = costs_of(prefill=[[1, 1.0]])
    costs = costs.__class__(**{**vars_of(costs), "prompt_tokens": 30.0})
    ends = sorted(job.chunk_times[0][0] for job in speak(costs, 1.0, 1.0, 1.0, 1.0))
    assert ends[0] == pytest.approx(2.0, abs=1.01)      # at most two chunks, one a step
    assert max(ends) == pytest.approx(2.0)


def vars_of(costs):
    return {name: getattr(costs, name) for name in costs.__dataclass_fields__ if name[0] != "_"}


def test_a_recording_is_encoded_once_for_two_that_bring_it_at_once():
    env = simpy.Environment()
    device = Device(env, costs_of(encode=1.0))
    known: list[bool] = []
    device.encode(7, known.append)
    device.encode(7, known.append)
    env.run()
    assert known.count(False) == 1 and len(known) == 2
    assert env.now == pytest.approx(1.0)


def test_least_recently_used_recording_is_forgotten():
    env = simpy.Environment()
    device = Device(env, costs_of(encode=1.0), cache_size=2)
    known: list[bool] = []
    for voice in (1, 2, 1, 3, 1, 2):
        device.encode(voice, known.append)
        env.run()
    assert known == [False, False, True, False, True, False]
