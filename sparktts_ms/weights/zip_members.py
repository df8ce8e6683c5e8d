"""Where the members of a zip archive lie, for archives whose members are stored uncompressed. Source: APPNOTE.TXT."""

from __future__ import annotations

import mmap
import struct

MAX_ENTRIES = 200_000       # members of a zip archive
MAX_EXTRA = 1 << 10         # bytes of a member's extra field; zip64 needs 28


def zip_members(data: mmap.mmap) -> dict[str, tuple[int, int]]:
    """First byte and size of each member of a zip archive whose members are stored, as those of torch.save are.

    Raises ValueError, LookupError, OverflowError or struct.error when the archive is cut short, is compressed, or
    contradicts itself.
    """
    end = data.rfind(b"PK\5\6", max(0, len(data) - 22 - 0xFFFF))
    if end < 0 or end + 22 + struct.unpack_from("<H", data, end + 20)[0] != len(data):
        raise ValueError("the end of the zip archive is missing, as after a download that was cut short")
    count, _, position = struct.unpack_from("<HII", data, end + 10)
    if end >= 20 and data[end - 20:end - 16] == b"PK\6\7":
        (end64,) = struct.unpack_from("<Q", data, end - 12)
        count, _, position = struct.unpack_from("<QQQ", data, end64 + 32)
    if count > MAX_ENTRIES:
        raise ValueError("the zip archive has too many members")
    members: dict[str, tuple[int, int]] = {}
    for _ in range(count):
        magic, flags, method, stored, size, name_length, extra_length, comment_length, local = struct.unpack_from(
            "<4s4xHH8xIIHHH8xI", data, position)
        name = data[position + 46:position + 46 + name_length].decode()
        if magic != b"PK\1\2" or name in members or extra_length > MAX_EXTRA:
            raise ValueError("the directory of the zip archive is damaged")
        extra = data[position + 46 + name_length:position + 46 + name_length + extra_length]
        size, stored, local = wide_sizes(extra, size, stored, local)
        position += 46 + name_length + extra_length + comment_length
        if flags & 1 or method or size != stored:
            raise ValueError(f"{name[:80]!r} in the zip archive is compressed or encrypted")
        local_magic, local_name, local_extra = struct.unpack_from("<4s22xHH", data, local)
        start = local + 30 + local_name + local_extra
        if local_magic != b"PK\3\4" or start + size > len(data):
            raise ValueError(f"{name[:80]!r} lies outside the zip archive")
        members[name] = start, size
    reached = 0
    for start, size in sorted(members.values()):
        if start < reached:
            raise ValueError("members of the zip archive overlap")
        reached = start + size
    return members


def wide_sizes(extra: bytes, *sizes: int) -> list[int]:
    """Replace each size that did not fit 32 bits by the next one of the zip64 field in `extra`."""
    wide = b""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1:
            wide = extra[4:4 + length]
        extra = extra[4 + length:]
    numbers = iter(struct.unpack(f"<{len(wide) // 8}Q", wide[:len(wide) // 8 * 8]))
    return [next(numbers, size) if size == 0xFFFFFFFF else size for size in sizes]
