"""Chunks that overlap, for clients that cross-fade them.

Upstream's client (`runtime/triton_trtllm/client_grpc.py`) fades the last 0.1 s of each chunk into
the first 0.1 s of the next. Chunks of a continuous stream come out right if each begins with the
last 0.1 s of the one before: both sides of the cross-fade are then the same samples.
"""

from __future__ import annotations

import numpy as np

OVERLAP_SECONDS = 0.1


class OverlappingChunks:
    """Samples in, chunks out. The latest samples are held back, so that the last chunk, too, has
    room for a cross-fade beside the samples that it repeats."""

    def __init__(self, sample_rate: int):
        self.overlap = int(OVERLAP_SECONDS * sample_rate)
        self._sent = np.zeros(0, np.float32)        # the end of the last chunk, once there is one
        self._pending = np.zeros(0, np.float32)     # samples that no chunk holds yet

    def push(self, samples: np.ndarray) -> np.ndarray | None:
        """Take samples [N]; returns the next chunk if there is one."""
        self._pending = np.concatenate([self._pending, samples])
        if len(self._pending) < 2 * self.overlap:
            return None
        ready = self._pending[:-self.overlap]
        self._pending = self._pending[-self.overlap:]
        return self._chunk(ready)

    def finish(self) -> np.ndarray | None:
        """The last chunk, with all that has been held back; None if there are no samples."""
        ready = self._pending
        self._pending = self._pending[:0]
        return self._chunk(ready) if len(ready) else None

    def _chunk(self, samples: np.ndarray) -> np.ndarray:
        chunk = np.concatenate([self._sent, samples])
        self._sent = chunk[-self.overlap:]
        return chunk
