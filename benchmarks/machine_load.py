"""How busy other processes are while something is measured (Linux; elsewhere unknown, 0)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SYSTEM = Path("/proc/stat")


def run_watched(pid: int, action: Callable[[], Any]) -> tuple[Any, float]:
    """The result of `action`, and how many cores processes other than `pid` kept busy meanwhile."""
    began = time.perf_counter()
    before = _seconds_of_others(pid)
    result = action()
    elapsed = time.perf_counter() - began
    return result, max(0.0, (_seconds_of_others(pid) - before) / elapsed)


def _seconds_of_others(pid: int) -> float:
    """CPU seconds of the machine so far, without those of process `pid`; to a hundredth."""
    if not SYSTEM.exists():
        return 0.0
    fields = SYSTEM.read_text().split()[1:9]
    user, nice, system, _, _, interrupts, soft_interrupts, stolen = map(int, fields)
    own = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = user + nice + system + interrupts + soft_interrupts + stolen
    ticks -= int(own[11]) + int(own[12])
    return ticks / os.sysconf("SC_CLK_TCK")
