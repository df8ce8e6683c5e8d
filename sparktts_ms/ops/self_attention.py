"""Self-attention over all frames of a recording, in the implementation that is fastest on each
device."""

import numpy as np
from mindspore import Tensor, mint, nn, ops

from sparktts_ms.ops.ascend import on_ascend
from sparktts_ms.ops.attention import MASKED
from sparktts_ms.ops.native.library import custom_op

_on_ascend = ops.constexpr(on_ascend)       # may be called within a graph


def attention_mask(mask: Tensor | None) -> Tensor | None:
    """A mask [T, 1] of valid frames as `SelfAttention` takes it, once for all layers.

    On Ascend it becomes what is added to each row of scores, [1, 1, T].
    """
    if mask is None or not _on_ascend():
        return mask
    return ((mask - 1.0) * -MASKED).reshape(1, 1, -1)


class SelfAttention(nn.Cell):
    """softmax(Q K^T) V of each head over all frames that the mask does not exclude."""

    def __init__(self, num_heads: int, head_dim: int):
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.fused = None
        if head_dim % 32 == 0:
            self.fused = custom_op("self_attention", columns=num_heads * head_dim)
        self.ascend = on_ascend()
        self.dim = Tensor(np.array([head_dim], np.int32))
        self.query_key = ops.BatchMatMul(transpose_b=True)
        self.weights_value = ops.BatchMatMul()

    def construct(self, qkv: Tensor, mask: Tensor | None) -> Tensor:
        # qkv [T, 3 H D] with the scale folded into the queries, mask from `attention_mask`
        # (None: all frames are valid) -> [T, H D]
        if self.fused is not None and mask is None:
            return self.fused(qkv, self.dim)
        if self.ascend:
            return self.batched(qkv, mask)
        query, key, value = map(self.split_heads, ops.split(qkv, self.num_heads * self.head_dim, 1))
        if mask is not None:
            # One more dimension carries the mask through the product, because adding a broadcast
            # mask to [H, T, T] costs a table of that size in every layer.
            penalty = ((1.0 - mask) * MASKED).reshape(1, -1, 1)
            penalty = ops.tile(penalty, (self.num_heads, 1, 1))
            query = ops.concat([query, ops.ones_like(penalty)], -1)
            key = ops.concat([key, penalty], -1)
        output = self.weights_value(ops.softmax(self.query_key(query, key), -1), value)
        return output.transpose(1, 0, 2).reshape(qkv.shape[0], -1)

    def batched(self, qkv: Tensor, mask: Tensor | None) -> Tensor:
        """The form for Ascend, whose products take transposed views and add the mask."""
        length = qkv.shape[0]
        heads = ops.transpose(qkv.reshape(length, 3, self.num_heads, -1), (1, 2, 0, 3))
        query = mint.select(heads, 0, 0)
        key = mint.transpose(mint.select(heads, 0, 1), 1, 2)
        scores = mint.bmm(query, key) if mask is None else mint.baddbmm(mask, query, key)
        output = mint.bmm(ops.softmax(scores, -1), mint.select(heads, 0, 2))
        return ops.transpose(output, (1, 0, 2)).reshape(length, -1)

    def split_heads(self, x: Tensor) -> Tensor:
        # [T, H D] -> [H, T, D]
        return x.reshape(-1, self.num_heads, self.head_dim).transpose(1, 0, 2)
