"""What runs on Ascend only, as far as it can be held here: the calls agree with the operators' documentation, of which a
stand-in written from it computes the result on the CPU; and a decode step is as few operators as it should be."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, ops

from sparktts_ms import Sampling, SparkTTS
from sparktts_ms.errors import DeviceError
from sparktts_ms.ops import attention as attention_room
from sparktts_ms.ops.attention import CachedAttention
from sparktts_ms.ops.parameter import weight
from sparktts_ms.ops.rotary import rotary_tables
from sparktts_ms.runtime import Runtime
from tests.helpers import start_utterance
from tests.ops.test_native_kernels import causal_attention, normal


def documented_incre_flash_attention(query, key, value, attn_mask=None, actual_seq_lengths=None, *, block_table, num_heads,
                                     num_key_value_heads, block_size, input_layout="BSH", scale_value=1.0):
    """ops.incre_flash_attention with page attention, as its documentation describes it: query [B, 1, H]; key and value a list
    of one tensor [blocks, block_size, kvH] each; lengths int64 [B]; block_table int32 [B, blocks of a sequence]."""
    (key,), (value,) = key, value
    batch, one, hidden = query.shape
    dim = hidden // num_heads
    assert attn_mask is None and one == 1 and input_layout == "BSH" and scale_value == 1.0
    assert key.shape == value.shape == (key.shape[0], block_size, num_key_value_heads * dim) and block_size % 16 == 0
    assert actual_seq_lengths.dtype == ms.int64 and actual_seq_lengths.shape == (batch,)
    assert block_table.dtype == ms.int32 and block_table.shape[0] == batch
    query, key, value, lengths, table = (t.asnumpy() for t in (query, key, value, actual_seq_lengths, block_table))
    out = np.zeros((batch, 1, num_heads, dim), np.float32)
    for b in range(batch):
        assert 1 <= lengths[b] <= table.shape[1] * block_size
        rows = [memory[table[b]].reshape(-1, num_key_value_heads, dim)[:lengths[b]] for memory in (key, value)]
        for h in range(num_heads):
            keys, values = (r[:, h * num_key_value_heads // num_heads] for r in rows)
            share = np.exp(keys.astype(np.float64) @ query[b, 0, h * dim:(h + 1) * dim])
            out[b, 0, h] = share / share.sum() @ values
    return Tensor(out.reshape(batch, 1, hidden))


def test_the_fused_attention_is_called_as_documented(monkeypatch):
    heads, groups, dim, capacity = 4, 2, 16, 256
    with monkeypatch.context() as patch:
        patch.setenv("SPARKTTS_NATIVE", "0")
        Runtime.start("CPU")
        patch.setattr(attention_room.ops, "incre_flash_attention", documented_incre_flash_attention)
        cos, sin = (weight(table) for table in rotary_tables(capacity, dim, 1e6))
        attention = CachedAttention(heads, groups, 3, cos, sin, ms.float32)
        assert not attention.use_flash                                      # float32 has no fused form, nor has the CPU
        attention.use_flash = True
        rows = [normal(length, (heads + 2 * groups) * dim, scale=0.5) for length in (140, 60)]
        expected = [causal_attention(r, heads, groups, dim) for r in rows]

        def attend(qkv, positions, slots):
            return attention(Tensor(qkv), Tensor(np.int32(positions)), Tensor(np.int32(slots))).asnumpy()

        for slot, r in enumerate(rows):                                 # prompts go through the plain form
            attend(r[:50], range(50), [slot])
        for t in range(50, 140):
            second = min(t, 59)
            seen = attend(np.stack([rows[0][t], rows[1][second], rows[0][0]]), [t, second, -1], [0, 1, 3])
            np.testing.assert_allclose(seen[:2], np.stack([expected[0][t], expected[1][second]]), atol=2e-5)
    Runtime.start("CPU")


def test_a_decode_step_is_five_kernels_a_layer_and_one(kernels, tiny_model, monkeypatch):
    tts = SparkTTS.from_pretrained(tiny_model, device_target="CPU", mode="pynative").load()
    called, call = [], ops.Custom.__call__
    monkeypatch.setattr(ops.Custom, "__call__", lambda self, *inputs: called.append(self) or call(self, *inputs))
    utterance = start_utterance(tts, "Count.", gender="female", sampling=Sampling(seed=1, min_new_tokens=60, max_new_tokens=60))
    while len(utterance.sequence.tokens) < 20:
        tts.engine.step()
    called.clear()
    tts.engine.step()
    assert len(called) == 5 * tts.config.llm.num_hidden_layers + 1


def test_eight_bit_weights_are_refused_on_ascend():
    with pytest.raises(DeviceError, match="8-bit"):
        Runtime.start("Ascend", quantize="int8")
