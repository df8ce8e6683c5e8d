"""Attention, in the form that is best on each device.

Over a cache, on the CPU: one kernel turns, writes and attends, over the written part only (native/attention.cc). On Ascend
`ops.incre_flash_attention` reads each sequence's blocks up to its length. The plain form, which is the reference for both,
scores the whole cache and bars what lies later.
"""

from __future__ import annotations

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from sparktts_ms.ops.native import library
from sparktts_ms.ops.native.huge_pages import zero_pages
from sparktts_ms.ops.native.library import kernel
from sparktts_ms.ops.parameter import weight

BARRED = -1e9
BLOCK = 128         # positions; what incre_flash_attention's documentation recommends


class CachedAttention(nn.Cell):
    """Attention of one layer over its cache: `slots` sequences of up to `capacity` positions, and a spare slot that takes
    what is no row. Row `slot * capacity + position` of `keys` and `values` holds all key/value heads side by side.

    cos, sin: rotary tables [capacity, D]. The attention scale is folded into the query's matrix, and query head i reads
    key/value head i // (heads / groups).
    """

    def __init__(self, heads: int, groups: int, slots: int, cos: Parameter, sin: Parameter, dtype):
        super().__init__()
        self.heads, self.groups, self.dtype = heads, groups, dtype
        self.capacity, self.head_dim = cos.shape
        self.cos, self.sin = cos, sin
        rows = ((slots + 1) * self.capacity, groups * self.head_dim)
        self.keys, self.values = empty_cache(rows, dtype), empty_cache(rows, dtype)
        outer = heads * self.head_dim
        self.native = kernel("attend", lambda qkv, *rest: [qkv[0], outer])
        self.flash = ms.get_context("device_target") == "Ascend" and dtype == ms.bfloat16
        self.spare = slots * self.capacity
        self.places = Tensor(np.arange(self.capacity, dtype=np.int32)[None])
        self.blocks = Tensor(np.arange(self.capacity // BLOCK, dtype=np.int32)[None])
        self.turn = weight(rotate_half_matrix(self.head_dim))
        self.rotate = ops.MatMul()
        self.scores, self.gather = ops.BatchMatMul(transpose_b=True), ops.BatchMatMul()

    def construct(self, qkv: Tensor, positions: Tensor, slots: Tensor) -> Tensor:
        # qkv [R, (heads + 2 groups) D], positions [R] (negative: no row), slots [R], or [1] for all rows -> [R, heads D]
        if self.native is not None:
            return self.native(qkv, self.cos, self.sin, self.keys, self.values, positions, slots)
        outer, inner = self.heads * self.head_dim, self.groups * self.head_dim
        query = self.turned(qkv[:, :outer], positions)
        key = self.turned(qkv[:, outer:outer + inner], positions)
        rows = ops.select(positions < 0, ops.full_like(positions, self.spare), slots * self.capacity + positions)
        keys = ops.scatter_update(self.keys, rows, key)
        values = ops.scatter_update(self.values, rows, qkv[:, outer + inner:].astype(self.dtype))
        if self.flash and slots.shape == positions.shape:
            return self.flash_form(query, keys, values, positions, slots)
        return self.plain_form(query, keys, values, positions, slots)

    def turned(self, x: Tensor, positions: Tensor) -> Tensor:
        # x [R, n D] -> the same with rotary positions, in the cache's data type
        heads = x.shape[1] // self.head_dim
        positions = ops.maximum(positions, 0)
        cos = ops.tile(ops.gather(self.cos, positions, 0), (1, heads)).reshape(-1, self.head_dim)
        sin = ops.tile(ops.gather(self.sin, positions, 0), (1, heads)).reshape(-1, self.head_dim)
        rows = x.reshape(-1, self.head_dim)
        return (rows * cos + self.rotate(rows, self.turn) * sin).reshape(x.shape).astype(self.dtype)

    def plain_form(self, query: Tensor, keys: Tensor, values: Tensor, positions: Tensor, slots: Tensor) -> Tensor:
        # all rows of one slot, or a row for each slot: query [S, T each, D] of a group meets keys [S, capacity, D]
        each, dim, sequences = self.heads // self.groups, self.head_dim, slots.shape[0]
        keys = ops.gather(keys.reshape(-1, self.capacity, self.groups * dim), slots, 0)
        values = ops.gather(values.reshape(-1, self.capacity, self.groups * dim), slots, 0)
        later = (self.places > positions.reshape(-1, 1)).astype(ms.float32) * BARRED
        later = ops.tile(later, (1, each)).reshape(sequences, -1, self.capacity)
        seen = []
        for g in range(self.groups):
            mine = slice(g * dim, (g + 1) * dim)
            part = query[:, g * each * dim:(g + 1) * each * dim].reshape(sequences, -1, dim)
            share = ops.softmax(self.scores(part, keys[:, :, mine]).astype(ms.float32) + later, -1).astype(self.dtype)
            seen.append(self.gather(share, values[:, :, mine]).reshape(-1, each * dim))
        return ops.concat(seen, 1).astype(ms.float32)

    def flash_form(self, query: Tensor, keys: Tensor, values: Tensor, positions: Tensor, slots: Tensor) -> Tensor:
        # a row for each slot, whose blocks of 128 positions lie one after another
        table = slots.reshape(-1, 1) * (self.capacity // BLOCK) + self.blocks
        seen = ops.incre_flash_attention(
            query.reshape(-1, 1, self.heads * self.head_dim), [keys.reshape(-1, BLOCK, self.groups * self.head_dim)],
            [values.reshape(-1, BLOCK, self.groups * self.head_dim)], None, ops.maximum(positions + 1, 1).astype(ms.int64),
            block_table=table, num_heads=self.heads, num_key_value_heads=self.groups, block_size=BLOCK)
        return seen.reshape(-1, self.heads * self.head_dim).astype(ms.float32)


class SelfAttention(nn.Cell):
    """softmax(Q K^T) V of each head, every row seeing every row that is kept."""

    def __init__(self, heads: int, head_dim: int):
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        outer = heads * head_dim
        self.native = kernel("self_attention", lambda qkv, dim: [qkv[0], outer]) if head_dim % 32 == 0 else None
        self.dim = Tensor(np.array([head_dim], np.int32))
        self.scores, self.gather = ops.BatchMatMul(transpose_b=True), ops.BatchMatMul()

    def construct(self, qkv: Tensor, keep: Tensor | None) -> Tensor:
        # qkv [T, 3 H D] with the scale folded into the queries, keep [T, 1] (1 for a real row; None: all are) -> [T, H D]
        if self.native is not None and keep is None:
            return self.native(qkv, self.dim)
        query, key, value = (self.split(part) for part in ops.split(qkv, self.heads * self.head_dim, 1))
        if keep is not None:
            # one more dimension carries the mask through the product, since adding a broadcast mask to [heads, T, T]
            # costs a table of that size in every layer
            barred = ops.tile(((1.0 - keep) * BARRED).reshape(1, -1, 1), (self.heads, 1, 1))
            query, key = ops.concat([query, ops.ones_like(barred)], -1), ops.concat([key, barred], -1)
        seen = self.gather(ops.softmax(self.scores(query, key), -1), value)
        return seen.transpose(1, 0, 2).reshape(qkv.shape[0], -1)

    def split(self, x: Tensor) -> Tensor:
        # [T, H D] -> [H, T, D]
        return x.reshape(-1, self.heads, self.head_dim).transpose(1, 0, 2)


def empty_cache(shape: tuple[int, int], dtype) -> Parameter:
    """Zeros; on the CPU they take memory only where they are written."""
    if library.enabled():
        return weight(zero_pages(shape[0] * shape[1] * 4).view(np.float32).reshape(shape), dtype)
    return weight(np.zeros(shape, np.float32), dtype)


def rotate_half_matrix(head_dim: int) -> np.ndarray:
    """The matrix R [head_dim, head_dim] with x R = (-second half, first half): a quarter turn of every pair.

    As a product it is one operator where slicing, negating and joining are four."""
    half = head_dim // 2
    turn = np.zeros((head_dim, head_dim), np.float32)
    turn[np.arange(half, head_dim), np.arange(half)] = -1.0
    turn[np.arange(half), np.arange(half, head_dim)] = 1.0
    return turn
