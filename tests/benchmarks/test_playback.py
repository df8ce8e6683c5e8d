"""The player's arithmetic, against a player that is simulated sample by sample."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.playback import Player

ARRIVALS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20)), min_size=1, max_size=30)


def played(rate, arrivals):
    player = Player(rate)
    for now, size in arrivals:
        player.receive(now, size)
    return player


def simulated(arrivals):
    """(underruns, gaps) of samples that last one unit of time each, by stepping through time.

    At each moment what arrives is put into the buffer, then the player takes one sample. Silence is
    counted between the first sample and the last.
    """
    begun, buffer, underruns, gaps, silent = False, 0, 0, 0, 0
    for now in range(arrivals[-1][0] + 1):
        came = sum(size for time, size in arrivals if time == now)
        if came and silent:
            underruns += 1
            gaps += silent
            silent = 0
        buffer += came
        begun = begun or came > 0
        if buffer:
            buffer -= 1
        elif begun:
            silent += 1
    return underruns, gaps


@given(ARRIVALS)
def test_underruns_are_those_of_a_simulated_player(steps):
    now, arrivals = 0, []
    for step, samples in steps:
        now += step
        arrivals.append((now, samples))
    player = played(1, [(time, 2 * samples) for time, samples in arrivals])
    assert (player.underruns, player.gaps_s) == simulated(arrivals)


@given(ARRIVALS, st.integers(1, 100))
def test_what_is_audible_and_the_silences_fill_the_time(steps, rate):
    now, player = 0.0, Player(rate)
    for step, size in steps:
        now += step
        player.receive(now, size)
        if player.started is not None:
            assert player.runs_dry - player.started == pytest.approx(player.audio_s + player.gaps_s)
    assert player.audio_s == pytest.approx(sum(size for _, size in steps) / 2 / rate)


@given(ARRIVALS, st.data())
def test_how_bytes_are_cut_into_parts_does_not_matter(steps, data):
    now, whole, cut = 0, Player(1), Player(1)
    for step, size in steps:
        now += step
        first = data.draw(st.integers(0, size))
        whole.receive(now, size)
        cut.receive(now, first)
        cut.receive(now, size - first)
    assert cut == whole


@given(ARRIVALS)
def test_bytes_that_come_in_time_make_no_underrun(steps):
    now, player = 0.0, Player(24_000)
    for _, size in steps:
        player.receive(now, size)
        now = max(now, player.runs_dry)
    assert (player.underruns, player.gaps_s) == (0, 0)


def test_a_stream_with_two_silences():
    # One second of 16 kHz at 2.0, half a second at 3.5 (0.5 s late), one second at 5.0 (1 s late)
    player = played(16_000, [(2.0, 32_000), (3.5, 16_000), (5.0, 32_000)])
    assert (player.started, player.audio_s, player.underruns) == (2.0, 2.5, 2)
    assert player.gaps_s == 1.5 and player.runs_dry == 6.0
