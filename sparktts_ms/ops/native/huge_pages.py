"""Memory for packed weights, in pages of 2 MB where the system has them: with pages of 4 KB,
address translation costs a tenth of a decode step or more."""

import mmap
from contextlib import suppress

import numpy as np

BLOCK_SIZE = 64 << 20
ALIGNMENT = 64

_block = np.empty(0, np.uint8)


def allocate(size: int) -> np.ndarray:
    """`size` bytes of zeros, uint8. Small arrays share a block, which is freed with the last."""
    global _block
    aligned_size = -(-size // ALIGNMENT) * ALIGNMENT
    if aligned_size > BLOCK_SIZE // 2:
        return zero_pages(size, huge=True)
    if aligned_size > len(_block):
        _block = zero_pages(BLOCK_SIZE, huge=True)
    array = _block[:size]
    _block = _block[aligned_size:]
    return array


def allocate_huge(size: int) -> np.ndarray:
    """`size` bytes of zeros, uint8, in a block of their own."""
    return zero_pages(size, huge=True)


def zero_pages(size: int, huge: bool = False) -> np.ndarray:
    """`size` bytes of zeros that take memory only once they are written to."""
    block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if huge and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):                 # a kernel without them
            block.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(block, np.uint8)
