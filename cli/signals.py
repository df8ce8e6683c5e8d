"""Signals: during imports they end the process, a server they stop; `run_command` has others while
a command works."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """End the process at once, in one line, at SIGINT or SIGTERM: for imports, in which an
    exception would be taken for a failure. Nothing may be half-written meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    for number in numbers:
        signal.signal(number, exit_now)
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def exit_now(number: int, frame: object) -> None:
    with suppress(OSError):
        os.write(2, b"\nInterrupted.\n")
    os._exit(128 + number)


def stop_on_first_signal() -> None:
    """The first of the signals raises KeyboardInterrupt, the others are ignored. SIGHUP stays
    ignored where it is, as nohup does it."""
    def stop() -> NoReturn:
        raise KeyboardInterrupt

    _on_first_signal(stop)


def note_first_signal() -> Callable[[], bool]:
    """As `stop_on_first_signal`, without an exception: the function that is returned says whether
    a signal came. Python loses an exception of a handler that runs while an object is freed."""
    came: list[bool] = []
    _on_first_signal(lambda: came.append(True))
    return lambda: bool(came)


def _on_first_signal(act: Callable[[], object]) -> None:
    def handle(number: int, frame: object) -> None:
        ignore_signals()
        act()

    if threading.current_thread() is threading.main_thread():
        for number in STOP_SIGNALS:
            if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, handle)


def ignore_signals() -> None:
    if threading.current_thread() is threading.main_thread():
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
