"""Attention over a KV cache in blocks, for Ascend.

A layer writes its keys and values in place and gathers the blocks of its sequences through a block
table. Everything that depends on positions and slots is made once a step and shared by all layers.
Operators that take lengths take them on the host, which costs a copy and a synchronization in every
layer. So attention covers a fixed number of positions (a bucket), and a mask excludes those that
are not written.

Where a decode step is captured, the cache is held and gathered by rows instead of blocks, because
MindSpore captures index_copy and not index_put.
"""

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, mint, nn, ops

from sparktts_ms.ops import ascend
from sparktts_ms.ops.padding import padded_length

BLOCK_SIZE = 128                # positions of a block; what CANN recommends
BUCKETS = (1024, 4096)          # positions that a step attends to
MASKED = -1e9                   # added to the score of a position that may not be attended to
# columns of the packed integers of a step, before the block table
POSITION, BLOCK, OFFSET, FIRST, LAST, TABLE = range(6)


class PagedStepInputs(nn.Cell):
    """What the layers share in a step, as `StepInputs` does for other attention.

    All integers of a step travel in one tensor, because each host tensor costs a copy and a
    synchronization. cos, sin: rotary tables [max_length, D].
    """

    def __init__(self, num_heads: int, num_kv_heads: int, num_slots: int, cos: np.ndarray,
                 sin: np.ndarray, dtype):
        super().__init__()
        max_length = len(cos)
        # a captured step has one bucket: MindSpore captures one graph
        self.buckets = BUCKETS[-1:] if ascend.settings().capture else BUCKETS
        self.num_slots = num_slots
        self.dtype = dtype
        self.by_rows = ascend.settings().by_rows
        self.offsets = Tensor(np.arange(BLOCK_SIZE, dtype=np.int32)[None])
        self.blocks_per_slot = -(-max_length // BLOCK_SIZE)
        # [max_length, heads D]: one operator rotates queries and keys, and leaves values unchanged.
        # Constants, because MindSpore copies a Parameter that it reads twice with a view between.
        self.shape = (1, -1, num_heads + 2 * num_kv_heads, cos.shape[1])
        rotated = np.arange(self.shape[2])[:, None] < num_heads + num_kv_heads
        cos = np.where(rotated, cos[:, None], 1.0).reshape(max_length, -1)
        sin = np.where(rotated, sin[:, None], 0.0).reshape(max_length, -1)
        self.cos = Tensor(cos.astype(np.float32)).astype(dtype)
        self.sin = Tensor(sin.astype(np.float32)).astype(dtype)
        self.key_positions = Tensor(
            np.arange(self.blocks_per_slot * BLOCK_SIZE, dtype=np.int32)[None])

    def pack(self, embeddings: np.ndarray, positions: np.ndarray, slots: np.ndarray,
             ranges: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings [R, C], positions [R] (negative: padding), slots [R], or [1] for all rows, and
        ranges [R, 2] of the logits -> embeddings and int32 [R, 5 + blocks of the bucket]."""
        bucket = padded_length(int(positions.max()) + 1, self.buckets)
        blocks = min(bucket // BLOCK_SIZE, self.blocks_per_slot)
        slots = np.where(positions < 0, self.num_slots, slots)
        positions = np.maximum(positions, 0)
        first_block = slots * self.blocks_per_slot
        packed = np.zeros((len(positions), TABLE + blocks), np.int32)
        packed[:, POSITION] = positions
        packed[:, BLOCK] = first_block + positions // BLOCK_SIZE
        packed[:, OFFSET] = positions % BLOCK_SIZE
        if ranges is not None:
            packed[:, FIRST] = ranges[:, 0]
            packed[:, LAST] = ranges[:, 1] - 1
        packed[:, TABLE:] = first_block[:, None] + np.arange(blocks)
        return embeddings, packed

    def shapes(self, hidden_size: int) -> tuple[Tensor, Tensor]:
        """What `pack` returns, as tensors of shapes with None for the rows, for the last bucket."""
        blocks = min(self.buckets[-1] // BLOCK_SIZE, self.blocks_per_slot)
        return (Tensor(shape=(None, hidden_size), dtype=ms.float32),
                Tensor(shape=(None, TABLE + blocks), dtype=ms.int32))

    def construct(self, embeddings: Tensor, packed: Tensor, one_slot: bool = False) -> tuple:
        # one_slot: all rows are of one slot -> x [R, C], the inputs of each layer, and the first
        # and last columns of the logits, [R, 1] each
        positions = mint.select(packed, 1, POSITION)
        cos = mint.index_select(self.cos, 0, positions).reshape(self.shape)
        sin = mint.index_select(self.sin, 0, positions).reshape(self.shape)
        blocks = packed.shape[1] - TABLE
        length = blocks * BLOCK_SIZE
        mask = mint.narrow(self.key_positions, 1, 0, length) > mint.narrow(packed, 1, POSITION, 1)
        table = mint.narrow(packed, 1, TABLE, blocks)
        if one_slot:
            table = mint.narrow(table, 0, 0, 1)
        table = table.reshape(-1)
        mask = mask.reshape((1, 1, -1, length) if one_slot else (-1, 1, 1, length))
        index = (mint.select(packed, 1, BLOCK), mint.select(packed, 1, OFFSET))
        if self.by_rows:
            index = index[0] * BLOCK_SIZE + index[1]
            table = (table.reshape(-1, 1) * BLOCK_SIZE + self.offsets).reshape(-1)
        ranges = mint.narrow(packed, 1, FIRST, 1), mint.narrow(packed, 1, LAST, 1)
        return embeddings.astype(self.dtype), (cos, sin, index, table, mask, one_slot), ranges


class PagedAttention(nn.Cell):
    """Grouped-query attention of one layer over its KV cache.

    keys and values: [blocks, BLOCK_SIZE, num_kv_heads, head_dim], or the same by rows
    [blocks BLOCK_SIZE, num_kv_heads, head_dim]; the blocks of a slot lie one after another, and at
    the end those of one more slot for padding. The attention scale is folded into the query's
    matrix, and query head i reads key/value head i // (num_heads / num_kv_heads).
    """

    def __init__(self, num_heads: int, num_kv_heads: int, num_slots: int, max_length: int,
                 head_dim: int, dtype):
        super().__init__()
        self.num_heads = num_heads
        self.num_kv_heads = num_kv_heads
        self.head_dim = head_dim
        choices = ascend.settings()
        # the fused operator has no float32
        self.fused = choices.attention == "flash" and dtype != ms.float32
        self.by_rows = choices.by_rows
        self.index_put = ops.auto_generate.InplaceIndexPut()
        self.index_copy = ops.auto_generate.InplaceIndexCopy()
        blocks = (num_slots + 1) * -(-max_length // BLOCK_SIZE)
        rows = (blocks * BLOCK_SIZE,) if self.by_rows else (blocks, BLOCK_SIZE)
        shape = (*rows, num_kv_heads, head_dim)
        self.keys = Parameter(mint.zeros(shape, dtype=dtype), requires_grad=False)
        self.values = Parameter(mint.zeros(shape, dtype=dtype), requires_grad=False)

    def construct(self, qkv: Tensor, cos: Tensor, sin: Tensor, index, table: Tensor, mask: Tensor,
                  one_slot: bool) -> Tensor:
        # qkv [R, heads D] of queries, keys and values, cos and sin [1, R, heads, D], index: block
        # and offset [R], or the row, of each row in the cache, table [S N] of blocks, or of rows,
        # for S sequences of T rows, R = S T, mask [S, 1, T, N BLOCK_SIZE]; S is 1 if one_slot, else
        # T is -> [R, num_heads D]
        heads = qkv.reshape(1, -1, self.num_heads + 2 * self.num_kv_heads, self.head_dim)
        heads = mint.select(ops.rotary_position_embedding(heads, cos, sin, 0), 0, 0)
        query = mint.narrow(heads, 1, 0, self.num_heads)
        key = mint.narrow(heads, 1, self.num_heads, self.num_kv_heads)
        value = mint.narrow(heads, 1, self.num_heads + self.num_kv_heads, self.num_kv_heads)
        shape = (-1, mask.shape[3], self.num_kv_heads, self.head_dim)
        keys = mint.index_select(self.write(self.keys, index, key), 0, table).reshape(shape)
        values = mint.index_select(self.write(self.values, index, value), 0, table).reshape(shape)
        query = query.contiguous()
        if self.fused:
            rows = (1, -1) if one_slot else (-1, 1)
            query = query.reshape(*rows, self.num_heads, self.head_dim)
            output = ops.flash_attention_score(query, keys, values, self.num_heads, attn_mask=mask,
                                               input_layout="BSND")
        else:
            output = self.plain_attention(query, keys, values, mask)
        return output.reshape(-1, self.num_heads * self.head_dim)

    def write(self, cache: Parameter, index, rows: Tensor) -> Tensor:
        # rows [R, num_kv_heads, D] -> the cache
        if self.by_rows:
            return self.index_copy(cache, 0, index, rows)
        return self.index_put(cache, index, rows, False)

    def plain_attention(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        # query [R, num_heads, D], keys and values [S, length, num_kv_heads, D]; for each sequence
        # and key/value head the queries [T group_size, D] meet the keys [length, D]
        sequences, _, _, length = mask.shape
        pairs = sequences * self.num_kv_heads
        group_size = self.num_heads // self.num_kv_heads
        query = query.reshape(sequences, -1, self.num_kv_heads, group_size * self.head_dim)
        query = mint.transpose(query, 1, 2).reshape(pairs, -1, self.head_dim)
        keys = mint.transpose(keys, 1, 2).reshape(pairs, length, self.head_dim)
        values = mint.transpose(values, 1, 2).reshape(pairs, length, self.head_dim)
        scores = mint.bmm(query, mint.transpose(keys, 1, 2)).astype(ms.float32)
        scores = scores.reshape(sequences, self.num_kv_heads, -1, group_size, length)
        scores = scores + mask.reshape(sequences, 1, -1, 1, length).astype(ms.float32) * MASKED
        weights = mint.nn.functional.softmax(scores, -1).astype(query.dtype)
        output = mint.bmm(weights.reshape(pairs, -1, length), values)
        output = output.reshape(sequences, self.num_kv_heads, -1, group_size * self.head_dim)
        return mint.transpose(output, 1, 2)
