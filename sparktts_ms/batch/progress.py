"""How far a run is, and how long it will go on: from bytes of the input, whose lines nobody has to
count before."""

from __future__ import annotations

import time
from collections.abc import Callable


class Progress:
    """lines: that were read. done, failed: of this run. done_before, failed_before: that the
    manifest had already, and that stay. seconds: of speech, by this run."""

    def __init__(self, size: int | None, clock: Callable[[], float] = time.monotonic):
        self.size = size
        self.lines = 0
        self.done = 0
        self.failed = 0
        self.done_before = 0
        self.failed_before = 0
        self.seconds = 0.0
        self._clock = clock
        self._started: float | None = None
        self._position = 0              # in the input
        self._waiting = 0               # bytes of lines that were read and are not done
        self._worked = 0                # bytes of lines that this run has done

    def note_read(self, size: int, position: int) -> None:
        """A line was read, of so many bytes, up to this position of the input."""
        self.lines += 1
        self._position = position
        self._waiting += size

    def note_skipped(self, size: int, failed: bool) -> None:
        """The manifest has the line already."""
        self._waiting -= size
        self.done_before += not failed
        self.failed_before += failed

    def note_started(self) -> None:
        """The work begins, from which the speed is measured."""
        if self._started is None:
            self._started = self._clock()

    def note_done(self, size: int, seconds: float | None) -> None:
        """A line is done, with so many seconds of speech; None: it failed."""
        self._waiting -= size
        self._worked += size
        self.seconds += seconds or 0.0
        self.done += seconds is not None
        self.failed += seconds is None

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return self._clock() - self._started if self._started is not None else 0.0

    @property
    def speed(self) -> float:
        """Seconds of speech a second; 0 before there are any."""
        return self.seconds / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def share(self) -> float | None:
        """Of the input that is done, now or before; None where its size is not known."""
        if self.size is None:
            return None
        return min(1.0, (self._position - self._waiting) / max(1, self.size))

    @property
    def total_lines(self) -> int | None:
        """About how many lines the input has; None where nothing is known of it."""
        if self.size is None or not self._position:
            return None
        return max(self.lines, round(self.lines * self.size / self._position))

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes, by the speed of this run; None where it is not known."""
        if self.size is None or not self._worked or self.elapsed <= 0:
            return None
        remaining = max(0, self.size - self._position) + self._waiting
        return remaining * self.elapsed / self._worked
