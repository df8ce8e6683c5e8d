"""How busy the machine is with other things while something is measured (Linux; elsewhere nothing is known)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SYSTEM = Path("/proc/stat")


def watched(process: int, action: Callable[[], Any]) -> tuple[Any, float]:
    """What `action` gives, and how many cores others than `process` kept busy meanwhile, on average."""
    before, began = _elsewhere(process), time.perf_counter()
    result = action()
    passed = time.perf_counter() - began
    return result, max(0.0, (_elsewhere(process) - before) / passed)


def _elsewhere(process: int) -> float:
    """Seconds of work of all processors so far, without that of `process`; to a hundredth."""
    if not SYSTEM.exists():
        return 0.0
    user, nice, system, _, _, interrupts, soft, stolen = map(int, SYSTEM.read_text().split()[1:9])
    own = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    ticks = user + nice + system + interrupts + soft + stolen - int(own[11]) - int(own[12])
    return ticks / os.sysconf("SC_CLK_TCK")
