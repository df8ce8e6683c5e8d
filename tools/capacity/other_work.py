"""How busy other processes keep the machine while this one and its children work."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil


class OtherWork:
    """cores: that others kept busy, on average, from its creation to `stop`."""

    def __init__(self) -> None:
        self.cores = 0.0
        self._began = time.perf_counter()
        self._before = _seconds_of_others()

    def stop(self) -> float:
        """Returns `cores`."""
        elapsed = max(1e-3, time.perf_counter() - self._began)
        self.cores = max(0.0, (_seconds_of_others() - self._before) / elapsed)
        return self.cores


def _seconds_of_others() -> float:
    """CPU seconds of the machine so far, without those of this process and its children."""
    times = psutil.cpu_times()
    busy = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
    own = psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        with suppress(psutil.Error):
            used = process.cpu_times()
            busy -= used.user + used.system
    return busy
