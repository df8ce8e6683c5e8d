"""Giving memory back to the system."""

from __future__ import annotations

import ctypes
import mmap
from contextlib import suppress
from weakref import WeakSet

_mapped: WeakSet[mmap.mmap] = WeakSet()


def map_file(descriptor: int, size: int) -> mmap.mmap:
    """The first bytes of a file, to be read: they look writable, because MindSpore asks for that,
    but what is written is lost at `release_mapped`."""
    mapped = mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE,
                       prot=mmap.PROT_READ | mmap.PROT_WRITE)
    _mapped.add(mapped)
    return mapped


def add_mapped(mapped: mmap.mmap) -> None:
    """Let `release_mapped` free the pages of this mapping of a file too."""
    _mapped.add(mapped)


def make_zero(address: int, size: int) -> None:
    """Zero private memory that begins with a page and is not shared; it takes none afterwards."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).madvise(ctypes.c_void_p(address), ctypes.c_size_t(size),
                                  mmap.MADV_DONTNEED)


def release_mapped() -> None:
    """Free the pages of mapped files. They come back from the system's cache of files when they
    are used."""
    for mapped in list(_mapped):
        with suppress(OSError, ValueError):
            mapped.madvise(mmap.MADV_DONTNEED)


def trim_heap() -> None:
    """Free what the C library keeps for its next allocations (glibc)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
