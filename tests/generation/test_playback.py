"""Playback: when it runs out of samples."""

import numpy as np
import pytest

from sparktts_ms.generation import playback
from sparktts_ms.generation.playback import Playback


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

        def perf_counter(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(playback, "time", clock)
    return clock


def second(count=1.0):
    return np.zeros(int(1000 * count))


def test_a_stream_is_played_from_its_first_samples_on(clock):
    stream = Playback(1000, streamed=True)
    assert stream.end == 100.0
    clock.now = 102.0
    stream.add(second())
    assert stream.end == 103.0
    stream.add(second(2))
    assert stream.end == 105.0 and stream.seconds == 3.0


def test_after_an_underrun_playback_goes_on(clock):
    stream = Playback(1000, streamed=True)
    stream.add(second())
    clock.now = 104.0
    stream.add(second(0.5))
    assert stream.end == 104.5


def test_what_is_not_played_has_a_turn_for_each_piece(clock):
    stream = Playback(1000, streamed=True)
    whole = Playback(1000, streamed=False)
    clock.now = 110.0                           # both have waited long
    whole.add(second())
    stream.add(second())
    clock.now = 110.5
    whole.add(second())
    stream.add(second(2))
    assert whole.end == 111.5 and stream.end == 113.0
