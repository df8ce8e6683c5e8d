"""How much memory the requests of tensors of one server take together.

A compressed body of 30 kB may hold 32 MB, and as JSON numbers these take several times as much. So
few large requests are read at a time, and what they hold then is counted until they are answered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from sparktts_ms.errors import InputError

MAX_READERS = 4                 # large requests that are read at a time
SMALL = 64 << 10                # bytes of a request that is not large


class RequestMemory:
    """max_bytes: of all requests together, as they are without compression. For one event loop."""

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._reading = asyncio.Semaphore(MAX_READERS)

    @contextlib.contextmanager
    def holding(self, num_bytes: int) -> Iterator[None]:
        """Count a request's bytes. Raises InputError ("busy") if there are too many."""
        if self.num_bytes + num_bytes > self.max_bytes:
            raise InputError("The server is busy with large requests.",
                             "Try again in a few seconds.", code="busy")
        self.num_bytes += num_bytes
        try:
            yield
        finally:
            self.num_bytes -= num_bytes

    async def read(self, size: int, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function that reads a request of `size` bytes in a thread."""
        async with self._reading if size > SMALL else contextlib.nullcontext():
            return await asyncio.to_thread(function, *arguments)
