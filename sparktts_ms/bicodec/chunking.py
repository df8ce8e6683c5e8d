"""How an utterance is cut for the wave generator: windows of a few fixed sizes, with exact context on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

WINDOWS = (64, 256)     # frames a window holds, context included


@dataclass(frozen=True)
class Window:
    """Frames `start .. start + size` are computed, and `first .. last` of them are right and kept."""

    start: int
    size: int
    first: int
    last: int


def plan(frames: int, context: int, sizes: tuple[int, ...] = WINDOWS) -> Iterator[Window]:
    """Windows whose kept parts cover `frames` exactly once. A window that reaches the end needs no context there."""
    first = 0
    while first < frames:
        start = max(0, first - context)
        size = next((s for s in sizes if start + s >= frames), sizes[-1])
        last = frames if start + size >= frames else start + size - context
        yield Window(start, size, first, last)
        first = last
