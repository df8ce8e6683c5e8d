"""Signals that stop a server."""

import os
import signal

import pytest

from cli.signals import STOP_SIGNALS, note_first_signal


@pytest.fixture(autouse=True)
def handlers():
    """As they were, afterwards."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Freed:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(1000))        # Python calls the handler while the object is freed


def test_a_signal_is_not_lost_while_an_object_is_freed():
    signal.signal(signal.SIGTERM, signal.default_int_handler)       # as run_command leaves it
    came = note_first_signal()
    assert not came()
    Freed()
    assert came()
    os.kill(os.getpid(), signal.SIGTERM)        # ignored, as all after the first
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


def test_signals_that_are_ignored_stay_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)        # by nohup
    came = note_first_signal()
    os.kill(os.getpid(), signal.SIGHUP)
    assert not came()
    os.kill(os.getpid(), signal.SIGINT)
    assert came()
