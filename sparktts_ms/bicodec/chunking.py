"""How an utterance is cut for the wave generator: windows of a few sizes, with exact context."""

from collections.abc import Iterator
from dataclasses import dataclass

WINDOW_SIZES = (64, 256)        # frames of a window, context included


@dataclass(frozen=True)
class Window:
    """Frames `start` to `start + size` go in; of what comes out, `valid_start` to `valid_end` have
    all their context. The ends are excluded; frame numbers are of the utterance."""

    start: int
    size: int
    valid_start: int
    valid_end: int


def plan_windows(frames: int, context: int,
                 sizes: tuple[int, ...] = WINDOW_SIZES) -> Iterator[Window]:
    """Windows whose valid parts cover `frames` exactly once, with `context` frames on both sides.

    At the ends of the utterance no context is needed. sizes: ascending.
    """
    valid_start = 0
    while valid_start < frames:
        start = max(0, valid_start - context)
        size = next((s for s in sizes if start + s >= frames), sizes[-1])
        valid_end = frames if start + size >= frames else start + size - context
        yield Window(start, size, valid_start, valid_end)
        valid_start = valid_end
