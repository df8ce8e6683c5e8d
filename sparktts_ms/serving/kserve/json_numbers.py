"""JSON with long lists of numbers, read and written in pieces.

The json module reads or writes a document in one go, during which no other thread runs: a minute of
samples would stop all streams for a second.
"""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

import numpy as np

PIECE_BYTES = 64 << 10      # of a list read at a time; shorter lists are not taken apart
PIECE_NUMBERS = 4096        # written at a time
# A list of nothing but numbers. Within a string it may be taken for one, too: no text is so long.
LONG_LIST = re.compile(rb"\[([0-9eE+\-., \t\r\n]{%d,})\]" % PIECE_BYTES)


def loads(document: bytes) -> Any:
    """What json.loads returns, and raises: ValueError, RecursionError."""
    lists: dict[str, list] = {}
    marker = secrets.token_hex(16)      # which no document holds

    def take_out(match: re.Match[bytes]) -> bytes:
        name = f"{marker}{len(lists)}"
        lists[name] = _read_numbers(match[1])
        return b'["%s"]' % name.encode()

    rest = json.loads(LONG_LIST.sub(take_out, document))
    return _put_back(rest, lists) if lists else rest


def dump_numbers(array: np.ndarray) -> str:
    """A flat list of the numbers of an array."""
    flat = array.reshape(-1)
    pieces = [json.dumps(flat[start:start + PIECE_NUMBERS].tolist(), separators=(",", ":"))[1:-1]
              for start in range(0, len(flat), PIECE_NUMBERS)]
    return f"[{','.join(pieces)}]"


def _read_numbers(content: bytes) -> list:
    numbers: list = []
    start = 0
    while start < len(content):
        end = content.find(b",", start + PIECE_BYTES)
        end = len(content) if end < 0 else end
        piece = json.loads(b"[%s]" % content[start:end])
        if not piece or end == len(content) - 1:
            raise ValueError("a comma without a number")
        numbers += piece
        start = end + 1
    return numbers


def _put_back(value: Any, lists: dict[str, list]) -> Any:
    """The document with its lists; json.loads has bounded its depth."""
    if isinstance(value, dict):
        return {key: _put_back(entry, lists) for key, entry in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) == 1 and isinstance(value[0], str) and value[0] in lists:
        return lists[value[0]]
    return [_put_back(entry, lists) for entry in value]
