"""Keys and values of what has been read so far: one fixed block of memory a layer, written in place."""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, nn, ops

from sparktts_ms.config import Qwen2Config
from sparktts_ms.ops.parameter import weight


class LayerCache(nn.Cell):
    """Row `head * capacity + position` holds one position of one key/value head, so that a write is one scatter and the
    whole is read as [heads, capacity, head_dim] without a copy."""

    def __init__(self, capacity: int, config: Qwen2Config, dtype):
        super().__init__()
        self.shape = (config.num_key_value_heads, capacity, config.head_dim)
        rows = (self.shape[0] * capacity, config.head_dim)
        self.keys = weight(np.zeros(rows, np.float32), dtype)
        self.values = weight(np.zeros(rows, np.float32), dtype)

    def construct(self, rows: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        # rows [K T]; keys and values [K T, D] -> everything, [K, capacity, D]
        return (ops.scatter_update(self.keys, rows, keys).reshape(self.shape),
                ops.scatter_update(self.values, rows, values).reshape(self.shape))


class Cache(nn.Cell):
    """One LayerCache a layer."""

    def __init__(self, capacity: int, config: Qwen2Config, dtype):
        super().__init__()
        self.capacity = capacity
        self.layers = nn.CellList([LayerCache(capacity, config, dtype) for _ in range(config.num_hidden_layers)])
        # Parameters of several caches meet in one process, so each carries its capacity in its name.
        self.update_parameters_name(f"cache{capacity}.")

    def load(self, other: Cache, length: int) -> None:
        """Take over the first `length` positions of another cache."""
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            for name in ("keys", "values"):
                target, source = getattr(mine, name), getattr(theirs, name)
                block = target.asnumpy().reshape(mine.shape).copy()
                block[:, :length] = source.asnumpy().reshape(theirs.shape)[:, :length]
                target.set_data(Tensor(block.reshape(target.shape), target.dtype))
