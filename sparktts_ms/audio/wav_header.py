"""Headers of WAV files whose writer was stopped before it could state their length."""

from __future__ import annotations

import os
import struct

MAX_CHUNKS = 1000               # that are looked at
MAX_FORMAT = 1024               # bytes of the chunk "fmt "
MAX_DATA = 0x7FFFF000           # bytes that a new header states at most
UNKNOWN = 0xFFFFFFFF            # RF64: the length is in the chunk "ds64"


def repaired_header(descriptor: int) -> tuple[bytes, int] | None:
    """A header whose data reach to the end of the file, and the offset of the data; None if the
    file's own is right, or beyond repair.

    A stated length is right if the chunks behind the data end where the file ends, or if it is
    longer than the file, which libsndfile reads to its end.
    """
    size = os.fstat(descriptor).st_size
    kind = os.pread(descriptor, 4, 0)
    order = ">" if kind == b"RIFX" else "<"
    form = b""
    long_size = 0
    position = 12
    for _ in range(MAX_CHUNKS):
        head = os.pread(descriptor, 8, position)
        if len(head) < 8:
            return None
        name = head[:4]
        length = struct.unpack(order + "I", head[4:])[0]
        position += 8
        if name == b"data":
            break
        if name == b"ds64" and length >= 16:
            sizes = os.pread(descriptor, 16, position).ljust(16, b"\0")
            long_size = struct.unpack("<8xQ", sizes)[0]
        if name == b"fmt " and length <= MAX_FORMAT:
            form = head + os.pread(descriptor, length + length % 2, position)
        position += length + length % 2
    else:
        return None
    stated = long_size if length == UNKNOWN and kind in (b"RF64", b"BW64") else length
    if not form or stated >= size - position or _chunks_end(descriptor, position + stated, size):
        return None
    data = min(size - position, MAX_DATA)
    riff = kind if kind == b"RIFX" else b"RIFF"
    head = struct.pack(order + "4sI4s", riff, 4 + len(form) + 8 + data, b"WAVE")
    return head + form + struct.pack(order + "4sI", b"data", data), position


def _chunks_end(descriptor: int, position: int, size: int) -> bool:
    """Whether chunks follow each other from `position` (or one padding byte on) to the end."""
    for begin in (position, position + position % 2):
        end = begin
        for _ in range(MAX_CHUNKS):
            head = os.pread(descriptor, 8, end)
            if len(head) < 8:
                break
            end += 8 + struct.unpack("<I", head[4:])[0]
            end += end % 2
        if 0 <= size - end <= 1 or end - size == 1:
            return True
    return False
