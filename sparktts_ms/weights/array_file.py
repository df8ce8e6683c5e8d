"""A file of arrays as networks compute with them, written one after another, and read at once.

Data, each array at a multiple of ALIGNMENT; an index (JSON: dtype, shape and start of each array,
a checksum of each BLOCK of the data); a footer with the index's place, length and checksum.

A file is not written to the disk before it takes its name: after a loss of power its checksums
tell that it is incomplete.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np

from sparktts_ms.weights.memory import map_file

MAGIC = b"SPKTTSW1"
FOOTER = struct.Struct("<8sQQI")        # magic, start and length of the index, its CRC-32
ALIGNMENT = 4096                        # a page, so that arrays can be mapped
BLOCK = 2 << 20
MAX_INDEX_BYTES = 4 << 20
DTYPES = {name: np.dtype(name) for name in ("float32", "int32", "uint8", "int8", "uint16")}


class DamagedFile(ValueError):
    """A file that is no array file, or not as it was written."""


class ArrayWriter:
    """Appends arrays to a binary file. `OSError` of the file system is passed on."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._arrays: list[list[Any]] = []
        self._size = 0
        self._checksums: list[int] = []
        self._block = 0                 # checksum of the last block, which is not complete

    def append(self, array: np.ndarray) -> None:
        assert array.dtype.name in DTYPES, array.dtype
        self._write(bytes(-self._size % ALIGNMENT))
        self._arrays.append([array.dtype.name, list(array.shape), self._size])
        self._write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    def finish(self) -> None:
        if self._size % BLOCK:
            self._checksums.append(self._block)
        index = json.dumps({"arrays": self._arrays, "checksums": self._checksums}).encode()
        self._file.write(index)
        self._file.write(FOOTER.pack(MAGIC, self._size, len(index), zlib.crc32(index)))
        self._file.flush()

    def _write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            part = rest[:BLOCK - self._size % BLOCK]
            self._file.write(part)
            self._block = zlib.crc32(part, self._block)
            self._size += len(part)
            rest = rest[len(part):]
            if self._size % BLOCK == 0:
                self._checksums.append(self._block)
                self._block = 0


def read_arrays(descriptor: int, allocate: Callable[[int], np.ndarray] | None, threads: int,
                verify: bool = True) -> list[np.ndarray]:
    """The arrays of an open file, writable.

    allocate: makes the memory that is read into, uint8 [N]; None: the file is mapped, and its pages
    take memory once they are used. verify: check the data, not only the index. Raises DamagedFile,
    OSError.
    """
    size = os.fstat(descriptor).st_size
    infos, checksums, data_size = _read_index(descriptor, size)
    if not data_size:
        return [np.empty(shape, dtype) for dtype, shape, _ in infos]
    if allocate is None:
        memory = np.frombuffer(map_file(descriptor, data_size), np.uint8)
        if verify:
            _verify_blocks(memory.data, checksums, threads)
    else:
        memory = allocate(data_size)
        _read_blocks(descriptor, memory.data, checksums if verify else None, threads)
    arrays = []
    for dtype, shape, start in infos:
        size = math.prod(shape) * dtype.itemsize
        arrays.append(memory[start:start + size].view(dtype).reshape(shape))
    return arrays


def _read_index(descriptor: int, size: int
                ) -> tuple[list[tuple[np.dtype, tuple[int, ...], int]], list[int], int]:
    """Dtype, shape and start of each array, the checksums, and the size of the data."""
    if size < FOOTER.size:
        raise DamagedFile("it is too short")
    magic, data_size, length, checksum = FOOTER.unpack(
        os.pread(descriptor, FOOTER.size, size - FOOTER.size))
    if magic != MAGIC or length > MAX_INDEX_BYTES or data_size + length + FOOTER.size != size:
        raise DamagedFile("its end is not that of such a file")
    text = os.pread(descriptor, length, data_size)
    if len(text) != length or zlib.crc32(text) != checksum:
        raise DamagedFile("its index is damaged")
    try:
        index = json.loads(text)
        infos = [_array_info(entry, data_size) for entry in index["arrays"]]
        checksums = index["checksums"]
        valid = len(checksums) == -(-data_size // BLOCK) and all(type(n) is int for n in checksums)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedFile("its index is not that of such a file") from error
    if not valid:
        raise DamagedFile("its index lacks checksums")
    return infos, checksums, data_size


def _array_info(entry: Any, data_size: int) -> tuple[np.dtype, tuple[int, ...], int]:
    name, sizes, start = entry
    dtype = DTYPES[name]
    if len(sizes) > 32 or not all(type(n) is int and 0 <= n <= data_size for n in (*sizes, start)):
        raise ValueError("no array has such a shape or place")
    end = start + math.prod(sizes) * dtype.itemsize
    if start % ALIGNMENT or end > data_size:
        raise ValueError("an array lies outside of the data")
    return dtype, tuple(sizes), start


def _verify_blocks(data: memoryview, checksums: list[int], threads: int) -> None:
    def verify(number: int) -> None:
        if zlib.crc32(data[number * BLOCK:(number + 1) * BLOCK]) != checksums[number]:
            raise DamagedFile("its checksum is wrong")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(verify, range(len(checksums))))


def _read_blocks(descriptor: int, target: memoryview, checksums: list[int] | None, threads: int
                 ) -> None:
    """Fill `target` with several threads, and check each block while it is in a cache."""

    def read(number: int) -> None:
        view = target[number * BLOCK:(number + 1) * BLOCK]
        filled = 0
        while filled < len(view):
            count = os.preadv(descriptor, [view[filled:]], number * BLOCK + filled)
            if not count:
                raise DamagedFile("it is too short")
            filled += count
        if checksums is not None and zlib.crc32(view) != checksums[number]:
            raise DamagedFile("its checksum is wrong")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, range(-(-len(target) // BLOCK))))
