"""Attention over a KV cache in blocks, for Ascend.

A layer writes its keys and values in place and reads them through a block table. Everything that
depends on positions and slots is made once a step and shared by all layers. Lengths would be host
values: `ops.incre_flash_attention` copies them from the device in every layer. So attention covers
a fixed number of positions (a bucket), and a mask excludes those that are not written.
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
POSITION, BLOCK, OFFSET, FIRST, STOP, TABLE = range(6)


class PagedStepInputs(nn.Cell):
    """What the layers share in a step, as `StepInputs` does for other attention.

    All integers of a step travel in one tensor, because each host tensor costs a copy and a
    synchronization.
    """

    def __init__(self, num_slots: int, cos: np.ndarray, sin: np.ndarray, dtype):
        super().__init__()
        self.max_length, self.head_dim = cos.shape
        self.blocks_per_slot = -(-self.max_length // BLOCK_SIZE)
        self.num_slots = num_slots
        self.dtype = dtype
        # Constants: MindSpore copies a whole Parameter that it reads twice with a view between.
        self.cos = Tensor(cos).astype(dtype)
        self.sin = Tensor(sin).astype(dtype)
        self.key_positions = Tensor(
            np.arange(self.blocks_per_slot * BLOCK_SIZE, dtype=np.int32)[None])

    def pack(self, embeddings: np.ndarray, positions: np.ndarray, slots: np.ndarray,
             ranges: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings [R, C], positions [R] (negative: padding), slots [R], or [1] for all rows, and
        ranges [R, 2] of the logits -> embeddings and int32 [R, 5 + blocks of the bucket]."""
        bucket = padded_length(int(positions.max()) + 1, BUCKETS)
        blocks = min(bucket // BLOCK_SIZE, self.blocks_per_slot)
        slots = np.where(positions < 0, self.num_slots, slots)
        positions = np.maximum(positions, 0)
        first_block = slots * self.blocks_per_slot
        packed = np.zeros((len(positions), TABLE + blocks), np.int32)
        packed[:, POSITION] = positions
        packed[:, BLOCK] = first_block + positions // BLOCK_SIZE
        packed[:, OFFSET] = positions % BLOCK_SIZE
        if ranges is not None:
            packed[:, FIRST:TABLE] = ranges
        packed[:, TABLE:] = first_block[:, None] + np.arange(blocks)
        return embeddings, packed

    def construct(self, embeddings: Tensor, packed: Tensor, one_slot: bool = False) -> tuple:
        # one_slot: all rows are of one slot -> x [R, C], the inputs of each layer, and the first
        # and last + 1 columns of the logits, [R, 1] each
        position = mint.narrow(packed, 1, POSITION, 1)
        index = mint.select(packed, 1, POSITION)
        cos = mint.index_select(self.cos, 0, index).reshape(1, -1, 1, self.head_dim)
        sin = mint.index_select(self.sin, 0, index).reshape(1, -1, 1, self.head_dim)
        blocks = packed.shape[1] - TABLE
        table = mint.narrow(packed, 1, TABLE, blocks)
        if one_slot:
            table = mint.narrow(table, 0, 0, 1)
        mask = mint.narrow(self.key_positions, 1, 0, blocks * BLOCK_SIZE) > position
        layer = (cos, sin, mint.select(packed, 1, BLOCK), mint.select(packed, 1, OFFSET), table,
                 mask)
        ranges = mint.narrow(packed, 1, FIRST, 1), mint.narrow(packed, 1, STOP, 1)
        return embeddings.astype(self.dtype), layer, ranges


class PagedAttention(nn.Cell):
    """Grouped-query attention of one layer over its KV cache.

    keys and values: [blocks, BLOCK_SIZE, num_kv_heads head_dim], the blocks of a slot one after
    another, and those of one more slot for padding. The attention scale is folded into the query's
    matrix, and query head i reads key/value head i // (num_heads / num_kv_heads).
    """

    def __init__(self, num_heads: int, num_kv_heads: int, num_slots: int, max_length: int,
                 head_dim: int, dtype):
        super().__init__()
        self.num_heads = num_heads
        self.num_kv_heads = num_kv_heads
        self.head_dim = head_dim
        self.query_size = num_heads * head_dim
        self.kv_size = num_kv_heads * head_dim
        choices = ascend.settings()
        # the fused operator has no float32
        self.fused = choices.attention == "paged" and dtype != ms.float32
        self.index_put = choices.cache_update == "index_put"
        self.put = ops.auto_generate.InplaceIndexPut()
        blocks = (num_slots + 1) * -(-max_length // BLOCK_SIZE)
        self.keys = allocate((blocks, BLOCK_SIZE, self.kv_size), dtype)
        self.values = allocate((blocks, BLOCK_SIZE, self.kv_size), dtype)

    def construct(self, qkv: Tensor, cos: Tensor, sin: Tensor, blocks: Tensor, offsets: Tensor,
                  table: Tensor, mask: Tensor) -> Tensor:
        # qkv [R, query_size + 2 kv_size], cos and sin [1, R, 1, D], blocks and offsets [R], table
        # [S, N] for S sequences of R / S rows, mask [R, N BLOCK_SIZE] -> [R, query_size]
        heads = qkv.view(1, -1, self.num_heads + 2 * self.num_kv_heads, self.head_dim)
        query = mint.narrow(heads, 2, 0, self.num_heads)
        key = mint.narrow(heads, 2, self.num_heads, self.num_kv_heads)
        value = mint.narrow(qkv, 1, self.query_size + self.kv_size, self.kv_size)
        query = ops.rotary_position_embedding(query, cos, sin, 0)
        key = ops.rotary_position_embedding(key, cos, sin, 0).reshape(-1, self.kv_size)
        keys = self.write(self.keys, blocks, offsets, key)
        values = self.write(self.values, blocks, offsets, value)
        query = query.reshape(table.shape[0], -1, self.query_size)
        if self.fused:
            output = self.fused_attention(query, keys, values, table, mask)
        else:
            output = self.written_out_attention(query, keys, values, table, mask)
        return output.reshape(-1, self.query_size)

    def write(self, cache: Parameter, blocks: Tensor, offsets: Tensor, rows: Tensor) -> Tensor:
        # rows [R, kv_size] -> the cache
        if self.index_put:
            return self.put(cache, (blocks, offsets), rows, False)
        return ops.scatter_nd_update(cache, mint.stack([blocks, offsets], 1), rows)

    def fused_attention(self, query: Tensor, keys: Tensor, values: Tensor, table: Tensor,
                        mask: Tensor) -> Tensor:
        # query [S, R / S, query_size] -> the same. One length for all sequences: that of the table.
        return ops.fused_infer_attention_score(
            query, [keys], [values], atten_mask=mask, block_table=table,
            actual_seq_lengths_kv=[table.shape[1] * BLOCK_SIZE], num_heads=self.num_heads,
            num_key_value_heads=self.num_kv_heads, input_layout="BSH", block_size=BLOCK_SIZE)[0]

    def written_out_attention(self, query: Tensor, keys: Tensor, values: Tensor, table: Tensor,
                              mask: Tensor) -> Tensor:
        # query [S, T, query_size] -> the same; for each key/value head the queries
        # [S, T group_size, D] meet the keys [S, length, D]
        group_size = self.num_heads // self.num_kv_heads
        sequences = table.shape[0]
        length = table.shape[1] * BLOCK_SIZE
        table = table.reshape(-1)
        keys = mint.index_select(keys, 0, table).reshape(sequences, length, self.kv_size)
        values = mint.index_select(values, 0, table).reshape(sequences, length, self.kv_size)
        penalty = mask.astype(ms.float32).reshape(sequences, -1, 1, length) * MASKED
        outputs = []
        for head in range(self.num_kv_heads):
            width = group_size * self.head_dim
            group = mint.narrow(query, 2, head * width, width)
            key = mint.narrow(keys, 2, head * self.head_dim, self.head_dim)
            value = mint.narrow(values, 2, head * self.head_dim, self.head_dim)
            rows = group.reshape(sequences, -1, self.head_dim)
            scores = mint.bmm(rows, mint.transpose(key, 1, 2)).astype(ms.float32)
            scores = scores.reshape(sequences, -1, group_size, length) + penalty
            weights = mint.nn.functional.softmax(scores, -1).astype(query.dtype)
            output = mint.bmm(weights.reshape(sequences, -1, length), value)
            outputs.append(output.reshape(sequences, -1, width))
        return mint.cat(outputs, 2)


def allocate(shape: tuple[int, ...], dtype) -> Parameter:
    """Zeros on the device."""
    return Parameter(mint.zeros(shape, dtype=dtype), requires_grad=False)
