"""How an utterance is cut for the wave generator: windows of a few sizes, with exact context."""

from collections.abc import Iterator
from dataclasses import dataclass

WINDOW_SIZES = (64, 256)        # frames of a window, context included


@dataclass(frozen=True)
class CompiledLengths:
    """Numbers of frames for which the decoder's two networks have graphs, ascending.

    The front end is given padding up to the next of its lengths, the wave generator, which has no
    mask with the CPU kernels, more context.
    """

    front_end: tuple[int, ...] = ()
    generator: tuple[int, ...] = ()


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


def cover(start: int, end: int, known: int, context: int, lengths: tuple[int, ...]
          ) -> list[Window]:
    """Windows of one of `lengths` (ascending), at most two, that cover the frames `start` to `end`
    out of 0 .. known, with `context` frames between them; else one of just these frames.

    `start` and `end` include the context that is needed on both sides. More of it is as good.
    """
    count = end - start
    for length in lengths:
        if count <= length <= min(1.5 * count + context, known):
            last = max(end, length)
            return [Window(last - length, length, start, end)]
    for length in reversed(lengths):
        if length < count <= 2 * (length - context):
            middle = start + length - context
            return [Window(start, length, start, middle),
                    Window(end - length, length, middle, end)]
    return [Window(start, count, start, end)]
