"""Simulated replicas and their router."""

import pytest

from tests.tools.capacity.costs_of import costs_of
from tools.capacity.cluster import Deployment, gaps, simulate
from tools.capacity.simulation import Target, find_devices, predict
from tools.capacity.workload import Arrival, Workload, until

BUSY = {"step": {"1": [[0, 0.004]], "16": [[0, 0.012]]},
        "generator": [[16, 0.01], [120, 0.04]], "encode": 0.2}


def arrivals(seed: int = 0, seconds: float = 30.0, **options) -> list[Arrival]:
    workload = Workload(**{"rate": 3.0, "text_seconds": 4.0, **options})
    return list(until(workload.arrivals(seed), seconds))


@pytest.mark.parametrize("deployment", [
    Deployment(), Deployment(devices=3), Deployment(devices=2, affinity=False),
    Deployment(max_ongoing=2, max_queue=3), Deployment(devices=3, max_ongoing=1, max_queue=0)])
def test_every_request_ends_once(deployment):
    requests = arrivals(recording_share=0.5)
    records, cluster = simulate(costs_of(**BUSY), deployment, requests, 1)
    assert sorted(record.arrival for record in records) == [a.time for a in requests]
    assert all(device.ongoing == 0 for device in cluster.devices)
    assert all(record.refused == (record.latency is None) for record in records)


def test_requests_beyond_the_queue_are_refused():
    """10 at once, of which 2 are in the replica and 3 in the queue."""
    requests = [Arrival(0.0, (1.0,)) for _ in range(10)]
    records, _ = simulate(costs_of(**BUSY), Deployment(max_ongoing=2, max_queue=3), requests, 0)
    assert sum(record.refused for record in records) == 5


def test_more_devices_are_not_slower():
    requests = arrivals(rate=6.0, seconds=30.0)
    latencies = []
    for devices in (1, 2, 4):
        records, _ = simulate(costs_of(**BUSY), Deployment(devices=devices), requests, 0)
        latencies.append(sum(record.latency for record in records if record.latency))
    assert latencies == sorted(latencies, reverse=True)


@pytest.mark.parametrize(("affinity", "expected"), [(True, 0.8), (False, 0.2)])
def test_share_of_known_recordings(affinity, expected):
    """200 recordings, 4 replicas that remember 40 each: with affinity they know 160 of 200, else
    each knows 40 of them. Nothing is remembered by the ingress."""
    workload = Workload(4.0, 0.5, recording_share=1.0, new_share=0.0, voices=200)
    deployment = Deployment(devices=4, affinity=affinity, cache_size=40, ingress_size=0)
    figures = predict(costs_of(), deployment, workload, runs=4)
    assert figures["hits"]["mean"] == pytest.approx(expected, abs=0.05)


def test_new_recordings_are_never_known():
    workload = Workload(4.0, 0.5, recording_share=1.0, new_share=0.25, voices=20)
    figures = predict(costs_of(), Deployment(devices=2), workload, runs=4)
    assert figures["hits"]["mean"] == pytest.approx(0.75, abs=0.05)


def test_the_same_seed_gives_the_same_figures():
    workload = Workload(12.0, 1.0)
    first, second, other = (predict(costs_of(**BUSY), Deployment(devices=2), workload, runs=1,
                                    seed=seed) for seed in (5, 5, 6))
    assert first == second != other


@pytest.mark.slow
def test_few_devices_stand_for_many():
    """What 24 devices do is what 16 with their share of the requests do."""
    costs = costs_of(**BUSY)
    workload = Workload(48.0, 4.0, recording_share=0.0)
    scaled = predict(costs, Deployment(devices=24), workload, runs=3)
    whole = [simulate(costs, Deployment(devices=24), until(workload.arrivals(seed), 60.0), seed)[0]
             for seed in range(3)]
    latencies = [record.latency for records in whole for record in records if record.arrival > 12]
    middle = sorted(latencies)[len(latencies) // 2]
    assert scaled["simulated_devices"] == 16
    assert scaled["latency_p50"]["mean"] == pytest.approx(middle, rel=0.05)


def test_smallest_number_that_meets_the_target():
    costs, target = costs_of(**BUSY), Target(first_audio_p95=0.5)
    workload = Workload(25.0, 1.0, recording_share=0.0)
    answer, tried = find_devices(costs, Deployment(), workload, target, limit=50, runs=1)
    met = {figures["devices"]: target.is_met(figures) for figures in tried}
    assert answer is not None and answer > 1
    assert met[answer] and not met[answer - 1]


def test_no_number_meets_what_one_request_alone_misses():
    costs = costs_of(step={"1": [[0, 0.1]], "16": [[0, 0.1]]})
    answer, _ = find_devices(costs, Deployment(), Workload(5.0, 0.5), Target(0.5), 1000, runs=1)
    assert answer is None


@pytest.mark.parametrize(("chunks", "expected"), [
    ([(1.0, 1.0), (1.5, 1.0), (2.9, 1.0)], (0, 0.0)),
    ([(1.0, 0.5), (2.0, 1.0), (3.25, 1.0)], (2, 0.75)),
])
def test_silences_of_a_player(chunks, expected):
    count, seconds = gaps(chunks)
    assert (count, pytest.approx(seconds)) == expected
