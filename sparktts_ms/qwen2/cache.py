"""Attention over what has been read so far: keys and values in one fixed block of memory a layer, written in place.

Query head i reads key/value head i // (heads / groups). The attention scale is folded into the query's matrix.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from sparktts_ms.config import Qwen2Config
from sparktts_ms.ops.native.library import kernel
from sparktts_ms.ops.parameter import weight
from sparktts_ms.qwen2.rotary import half_turn, rotary_tables

BARRED = -1e9


class LayerCache(nn.Cell):
    """One layer's cache. Row `group * capacity + position` holds one position of one key/value head, so that a write is one
    scatter and the whole is read as [groups, capacity, D] without a copy."""

    def __init__(self, capacity: int, config: Qwen2Config, dtype):
        super().__init__()
        self.heads, self.head_dim, self.dtype = config.num_attention_heads, config.head_dim, dtype
        self.groups, self.capacity = config.num_key_value_heads, capacity
        rows = (self.groups * capacity, self.head_dim)
        self.keys = weight(np.zeros(rows, np.float32), dtype)
        self.values = weight(np.zeros(rows, np.float32), dtype)
        self.turn = weight(half_turn(self.head_dim))
        self.rotate = ops.MatMul()
        self.scores = ops.BatchMatMul(transpose_b=True)
        self.gather = ops.BatchMatMul()

    def construct(self, query_key_value: Tensor, turns: tuple[Tensor, ...], rows: Tensor, barred: Tensor) -> Tensor:
        # query_key_value [T, (heads + 2 groups) D], turns: see `Cache.place`, rows [groups T],
        # barred [groups, heads / groups T, capacity] -> [T, heads D]
        inner, outer = self.groups * self.head_dim, self.heads * self.head_dim
        cos_query, sin_query, cos_key, sin_key = turns
        query = self.turned(query_key_value[:, :outer], cos_query, sin_query)
        key = self.turned(query_key_value[:, outer:outer + inner], cos_key, sin_key)
        value = query_key_value[:, outer + inner:].reshape(-1, self.head_dim)
        keys = ops.scatter_update(self.keys, rows, self.heads_first(key, self.groups))
        values = ops.scatter_update(self.values, rows, self.heads_first(value, self.groups))
        query = self.heads_first(query, self.heads).reshape(self.groups, -1, self.head_dim)
        scores = self.scores(query, keys.reshape(self.groups, self.capacity, self.head_dim)).astype(ms.float32)
        share = ops.softmax(scores + barred, -1).astype(self.dtype)
        seen = self.gather(share, values.reshape(self.groups, self.capacity, self.head_dim)).astype(ms.float32)
        return seen.reshape(self.heads, -1, self.head_dim).transpose(1, 0, 2).reshape(-1, outer)

    def turned(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        # x [T, heads D]; cos and sin [T heads, D] -> [T heads, D]
        x = x.reshape(-1, self.head_dim)
        return x * cos + self.rotate(x, self.turn) * sin

    def heads_first(self, x: Tensor, heads: int) -> Tensor:
        # [T heads, D] -> [heads T, D], in the cache's data type
        return x.astype(self.dtype).reshape(-1, heads, self.head_dim).transpose(1, 0, 2).reshape(-1, self.head_dim)


class Cache(nn.Cell):
    """One LayerCache a layer, and the rotary tables of its positions."""

    def __init__(self, capacity: int, config: Qwen2Config, dtype):
        super().__init__()
        self.capacity, self.groups, self.heads = capacity, config.num_key_value_heads, config.num_attention_heads
        self.head_dim = config.head_dim
        self.layers = nn.CellList([LayerCache(capacity, config, dtype) for _ in range(config.num_hidden_layers)])
        cos, sin = rotary_tables(capacity, config.head_dim, config.rope_theta)
        self.cos, self.sin = weight(cos), weight(sin)
        self.blocks = Tensor(np.arange(self.groups, dtype=np.int32)[:, None] * capacity)
        self.places = Tensor(np.arange(capacity, dtype=np.int32)[None])
        # One position at a time is turned, written and attended to by one CPU kernel, over the written part only.
        self.fused = kernel("attend", lambda qkv, cos, *rest: [1, self.heads * self.head_dim], lambda qkv, *rest: qkv)
        # Parameters of several caches meet in one process, so each carries its capacity in its name.
        self.update_parameters_name(f"cache{capacity}.")

    def place(self, positions: Tensor) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """What every layer needs to know of `positions` [T], at full size, because broadcasting is dear (see
        ops/convolution.py): cos and sin of queries and keys [T heads, D], cache rows [groups T], and what lies later."""
        rows = (self.blocks + positions.reshape(1, -1)).reshape(-1)
        cos, sin = ops.gather(self.cos, positions, 0), ops.gather(self.sin, positions, 0)
        turns = (self.spread(cos, self.heads), self.spread(sin, self.heads),
                 self.spread(cos, self.groups), self.spread(sin, self.groups))
        later = (self.places > positions.reshape(-1, 1)).astype(ms.float32) * BARRED
        return turns, rows, ops.tile(later, (self.heads, 1)).reshape(self.groups, -1, self.capacity)

    def spread(self, table: Tensor, heads: int) -> Tensor:
        # [T, D] -> [T heads, D]
        return ops.tile(table, (1, heads)).reshape(-1, self.head_dim)

    def load(self, other: Cache, length: int) -> None:
        """Take over the first `length` positions of another cache."""
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            for name in ("keys", "values"):
                target, source = getattr(mine, name), getattr(theirs, name)
                block = np.zeros((self.groups, self.capacity, self.head_dim), np.float32)
                stored = source.astype(ms.float32).asnumpy().reshape(self.groups, other.capacity, self.head_dim)
                block[:, :length] = stored[:, :length]
                target.set_data(Tensor(block.reshape(target.shape)).astype(target.dtype))
