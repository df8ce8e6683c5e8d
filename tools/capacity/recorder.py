"""How long the steps of a real engine take while it serves, beside what the costs say.

On a machine with other work, costs that were measured before do not hold for long. `load_recorded`
is for replicas of Ray Serve; each writes its sums to a file of its own once a second.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tools.capacity.costs import Costs

PERIOD = 1.0                    # seconds between two states of the file


@dataclass
class Sums:
    """Seconds of all steps, and of all chunks: as they were, and by the costs."""

    steps: float = 0.0
    expected_steps: float = 0.0
    chunks: float = 0.0
    expected_chunks: float = 0.0

    def __sub__(self, before: Sums) -> Sums:
        return Sums(**{name: value - getattr(before, name) for name, value in vars(self).items()})

    @property
    def factors(self) -> tuple[float, float]:
        """Of steps and of chunks: how much longer they took than the costs say."""
        steps = self.steps / self.expected_steps if self.expected_steps else 1.0
        return steps, self.chunks / self.expected_chunks if self.expected_chunks else 1.0


def read_sums(folder: Path) -> Sums:
    """Of all replicas together."""
    total = Sums()
    for path in folder.glob("*.sums"):
        for name, value in json.loads(path.read_text()).items():
            setattr(total, name, getattr(total, name) + value)
    return total


def load_recorded(load: Callable[[], Any], costs: Costs, folder: str) -> Any:
    """The service that `load` returns, with its steps and chunks recorded."""
    import simpy

    from tools.capacity.device import Device

    service = load()
    service.warm_up()
    sums = Sums()
    tts = service.tts
    head = tts.generator.head(True)
    device = Device(simpy.Environment(), costs)
    step, prefill = tts.engine.step, tts.llm.prefill_packed
    decode, frames = head.decode_step, tts.codec.decode_frames

    def timed_step() -> bool:
        began = time.perf_counter()
        running = step()
        sums.steps += time.perf_counter() - began
        return running

    def noted_prefill(chunks: list[Any]) -> Any:
        sums.expected_steps += costs.prefill(sum(len(chunk.ids) for chunk in chunks))
        return prefill(chunks)

    def noted_decode(ids: Any, positions: Any, *others: Any) -> Any:
        sums.expected_steps += costs.step_seconds(len(ids), float(positions.mean()))
        return decode(ids, positions, *others)

    def timed_frames(global_ids: Any, semantic_ids: Any, first: int, last: int,
                     lookahead: int | None = None) -> Any:
        ahead = costs.receptive_field if lookahead is None else lookahead
        end = min(len(semantic_ids), last + ahead)
        sums.expected_chunks += device.decoding_seconds(first, last, end)
        began = time.perf_counter()
        samples = frames(global_ids, semantic_ids, first, last, lookahead)
        sums.chunks += time.perf_counter() - began
        return samples

    tts.engine.step = timed_step
    tts.llm.prefill_packed = noted_prefill
    head.decode_step = noted_decode
    tts.codec.decode_frames = timed_frames
    path = Path(folder) / f"{os.getpid()}.sums"
    threading.Thread(target=_write, args=(sums, path), daemon=True).start()
    return service


def _write(sums: Sums, path: Path) -> None:
    while True:
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(sums)))
        part.replace(path)
        time.sleep(PERIOD)
