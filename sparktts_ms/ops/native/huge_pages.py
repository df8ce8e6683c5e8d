"""Memory for packed weights, in pages of 2 MB where the system has them: a token reads all of it from front to back, and
with pages of 4 KB looking up the next page costs a tenth of that time or more."""

from __future__ import annotations

import mmap
from contextlib import suppress

import numpy as np

CHUNK = 64 << 20
ALIGNMENT = 64

_chunk = np.empty(0, np.uint8)


def huge_pages(size: int) -> np.ndarray:
    """`size` bytes of zeros, uint8. Small requests share a block; it is given back when the last of them is."""
    global _chunk
    size_aligned = -(-size // ALIGNMENT) * ALIGNMENT
    if size_aligned > CHUNK // 2:
        return zero_pages(size, huge=True)
    if size_aligned > len(_chunk):
        _chunk = zero_pages(CHUNK, huge=True)
    array, _chunk = _chunk[:size], _chunk[size_aligned:]
    return array


def zero_pages(size: int, huge: bool = False) -> np.ndarray:
    """`size` bytes of zeros that take memory only once they are written to."""
    block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if huge and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):                 # a kernel without them
            block.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(block, np.uint8)
