"""Steps of a real service beside what the costs say."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from sparktts_ms import Chunks, Voice
from tests.helpers import ROOT
from tests.tools.capacity.costs_of import costs_of
from tests.tools.capacity.test_stand_in import COSTS, Clock
from tools.capacity import recorder
from tools.capacity.recorder import Sums, load_recorded, read_sums
from tools.capacity.stand_in import load_slept


def test_factors_of_steps_and_chunks(tmp_path, monkeypatch):
    """A service that takes twice as long for its steps as the costs say, three times for chunks."""
    clock = Clock()
    monkeypatch.setattr(recorder, "time", SimpleNamespace(perf_counter=clock.perf_counter,
                                                          sleep=time.sleep))
    monkeypatch.setattr(recorder, "PERIOD", 0.01)
    costs = costs_of(**COSTS)
    model_dir = str(ROOT / "pretrained_models" / "Spark-TTS-demo")
    slow = costs.times(2.0, 3.0)
    service = load_recorded(lambda: load_slept(model_dir, slow, clock.advance), costs,
                            str(tmp_path))
    with service:
        before = read_sums(tmp_path)
        service.submit("We met.", Voice(np.zeros(32, np.int32)), chunks=Chunks()).result()
    sums = Sums()
    while not sums.chunks or sums != read_sums(tmp_path):
        sums = read_sums(tmp_path)
        time.sleep(0.05)
    assert (sums - before).factors == pytest.approx((2.0, 3.0))


def test_nothing_was_recorded(tmp_path):
    assert (read_sums(tmp_path) - Sums()).factors == (1.0, 1.0)
