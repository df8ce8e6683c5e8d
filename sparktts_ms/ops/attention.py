"""Attention, in the implementation that is fastest on each device.

Over a KV cache, on the CPU: one kernel rotates, writes and attends, to the written positions only
(native/attention.cc). The plain implementation, which is its reference, computes scores for the
whole cache and masks later positions. Ascend has its own, in paged_attention.py.
"""

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from sparktts_ms.ops.native import library
from sparktts_ms.ops.native.huge_pages import zero_pages
from sparktts_ms.ops.native.library import custom_op
from sparktts_ms.ops.parameter import parameter, weight
from sparktts_ms.ops.rotary import rotate_half_matrix
from sparktts_ms.weights.checkpoint import Checkpoint

MASKED = -1e9       # added to the score of a position that may not be attended to


class StepInputs:
    """What the layers share in a step: `pack` on the host, the call in the graph."""

    def pack(self, embeddings: np.ndarray, positions: np.ndarray, slots: np.ndarray,
             ranges: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        """Embeddings [R, C], positions [R] (negative: padding), slots [R], or [1] for all rows, and
        ranges [R, 2] of the logits -> the same, int32."""
        integers = (positions, slots) if ranges is None else (positions, slots, ranges)
        return embeddings, *(np.asarray(array, np.int32) for array in integers)

    def shapes(self, hidden_size: int) -> tuple[Tensor, ...]:
        """Nothing: shapes are those of each call."""
        return ()

    def __call__(self, embeddings: Tensor, positions: Tensor, slots: Tensor,
                 ranges: Tensor | None = None, one_slot: bool = False) -> tuple:
        # -> x [R, C], the inputs of each layer, ranges
        return embeddings, (positions, slots), ranges


class CachedAttention(nn.Cell):
    """Grouped-query attention of one layer over its KV cache.

    The cache holds `num_slots` sequences of up to `max_length` positions, and one slot for padding.
    Row `slot * max_length + position` of `keys` and `values` holds all key/value heads side by
    side; the kernel has its own order within a slot. cos, sin: rotary tables [max_length, D].
    dtype: of the cache, float32, or with the kernel float16. The attention scale is folded into the
    query's matrix, and query head i reads key/value head i // (num_heads / num_kv_heads).
    """

    def __init__(self, num_heads: int, num_kv_heads: int, num_slots: int, cos: Parameter,
                 sin: Parameter, dtype):
        super().__init__()
        self.num_heads = num_heads
        self.num_kv_heads = num_kv_heads
        self.dtype = dtype
        self.max_length, self.head_dim = cos.shape
        self.cos = cos
        self.sin = sin
        self.query_size = num_heads * self.head_dim
        self.kv_size = num_kv_heads * self.head_dim
        shape = ((num_slots + 1) * self.max_length, self.kv_size)
        self.keys = allocate_cache(shape, dtype)
        self.values = allocate_cache(shape, dtype)
        self.fused = custom_op("cached_attention", columns=self.query_size)
        self.padding_row = num_slots * self.max_length
        self.key_positions = Tensor(np.arange(self.max_length, dtype=np.int32)[None])
        self.rotate_half = weight(rotate_half_matrix(self.head_dim))
        self.matmul = ops.MatMul()
        self.query_key = ops.BatchMatMul(transpose_b=True)
        self.weights_value = ops.BatchMatMul()

    def construct(self, qkv: Tensor, positions: Tensor, slots: Tensor) -> Tensor:
        # qkv [R, query_size + 2 kv_size], positions [R] (negative: padding),
        # slots [R], or [1] for all rows -> [R, query_size]
        if self.fused is not None:
            return self.fused(qkv, self.cos, self.sin, self.keys, self.values, positions, slots)
        query = self.apply_rotary(qkv[:, :self.query_size], positions)
        key = self.apply_rotary(qkv[:, self.query_size:self.query_size + self.kv_size], positions)
        value = qkv[:, self.query_size + self.kv_size:].astype(self.dtype)
        padding_rows = ops.full_like(positions, self.padding_row)
        rows = ops.select(positions < 0, padding_rows, slots * self.max_length + positions)
        keys = ops.scatter_update(self.keys, rows, key)
        values = ops.scatter_update(self.values, rows, value)
        return self.plain_attention(query, keys, values, positions, slots)

    def apply_rotary(self, x: Tensor, positions: Tensor) -> Tensor:
        # x [R, n D] -> the same with rotary positions, in the cache's data type
        heads = x.shape[1] // self.head_dim
        positions = ops.maximum(positions, 0)
        cos = ops.tile(ops.gather(self.cos, positions, 0), (1, heads)).reshape(-1, self.head_dim)
        sin = ops.tile(ops.gather(self.sin, positions, 0), (1, heads)).reshape(-1, self.head_dim)
        rows = x.reshape(-1, self.head_dim)
        rotated = rows * cos + self.matmul(rows, self.rotate_half) * sin
        return rotated.reshape(x.shape).astype(self.dtype)

    def plain_attention(self, query: Tensor, keys: Tensor, values: Tensor, positions: Tensor,
                        slots: Tensor) -> Tensor:
        # All rows of one slot, or one row of each slot: for each key/value head the queries
        # [S, T group_size, D] meet the keys [S, max_length, D].
        group_size = self.num_heads // self.num_kv_heads
        dim = self.head_dim
        sequences = slots.shape[0]
        keys = ops.gather(keys.reshape(-1, self.max_length, self.kv_size), slots, 0)
        values = ops.gather(values.reshape(-1, self.max_length, self.kv_size), slots, 0)
        mask = (self.key_positions > positions.reshape(-1, 1)).astype(ms.float32) * MASKED
        mask = ops.tile(mask, (1, group_size)).reshape(sequences, -1, self.max_length)
        outputs = []
        for head in range(self.num_kv_heads):
            group = query[:, head * group_size * dim:(head + 1) * group_size * dim]
            key = keys[:, :, head * dim:(head + 1) * dim]
            value = values[:, :, head * dim:(head + 1) * dim]
            scores = self.query_key(group.reshape(sequences, -1, dim), key).astype(ms.float32)
            weights = ops.softmax(scores + mask, -1).astype(self.dtype)
            outputs.append(self.weights_value(weights, value).reshape(-1, group_size * dim))
        return ops.concat(outputs, 1).astype(ms.float32)


def fuse_qkv(weights: Checkpoint, hidden_size: int, num_heads: int, num_kv_heads: int,
             head_dim: int, gain: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """One matrix [(num_heads + 2 num_kv_heads) head_dim, hidden_size] and bias for q, k and v.

    The attention scale is folded into the query's part, and `gain` [hidden_size], of a norm before
    the projections, into the matrix.
    """
    projections = (("q_proj", num_heads, head_dim**-0.5), ("k_proj", num_kv_heads, 1.0),
                   ("v_proj", num_kv_heads, 1.0))
    matrices = []
    biases = []
    for name, heads, scale in projections:
        projection = weights.at(name)
        column_scale = np.float32(scale) if gain is None else gain * np.float32(scale)
        matrices.append(projection.take("weight", heads * head_dim, hidden_size) * column_scale)
        biases.append(projection.take("bias", heads * head_dim) * np.float32(scale))
    return np.concatenate(matrices), np.concatenate(biases)


def allocate_cache(shape: tuple[int, int], dtype) -> Parameter:
    """Zeros of `shape`; on the CPU they take memory only where they are written."""
    if library.enabled():
        numpy_dtype = np.dtype(ms.dtype_to_nptype(dtype))
        size = shape[0] * shape[1] * numpy_dtype.itemsize
        return parameter(zero_pages(size).view(numpy_dtype).reshape(shape))
    return parameter(np.zeros(shape, np.float32), dtype)
