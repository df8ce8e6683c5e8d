"""Quantized language models: in how many bits their matrices are, and what that does to the ids."""

import numpy as np
import pytest

from sparktts_ms.ops.native import library
from tests.helpers import SingleSequence


@pytest.fixture(autouse=True)
def native(kernels):
    """Quantized weights need the compiled library."""


def packed_bytes(dtype, outputs, inputs):
    return library.pack(np.zeros((outputs, inputs), np.float32), dtype).nbytes


def test_the_most_sensitive_matrices_of_int4_keep_8_bits(shared_tts):
    tts = shared_tts(quantize="int4")
    config = tts.config.llm
    size = config.hidden_size
    inner = config.intermediate_size
    kv_size = config.num_key_value_heads * config.head_dim
    matrices = {"qkv_proj": (size + 2 * kv_size, size), "o_proj": (size, size),
                "gate_up_proj": (2 * inner, size), "down_proj": (size, inner)}
    for n, layer in enumerate(tts.llm.network.layers):
        for name, shape in matrices.items():
            dtype = "int8" if n == 0 or name == "qkv_proj" else "int4"
            assert getattr(layer, name).weight.nbytes == packed_bytes(dtype, *shape), (n, name)
    head = tts.generator.head(True)
    assert head.projection.weight.nbytes == packed_bytes("int8", len(head.ids), size)


def distributions(tts, prompts):
    """Log probabilities [ids of speech] of the next id at each position of each prompt."""
    semantic = tts.vocabulary.bicodec_semantic
    head = tts.llm.head(np.array(semantic.ids()))
    rows = []
    for prompt in prompts:
        sequence = SingleSequence(tts.llm, head)
        for token in semantic.first + prompt:
            logits = sequence.decode_step(int(token)).astype(np.float64)
            rows.append(logits - np.logaddexp.reduce(logits))
    return np.array(rows)


def test_divergence_from_float32(shared_tts):
    count = shared_tts().vocabulary.bicodec_semantic.count
    prompts = np.random.default_rng(7).integers(0, count, (3, 48))
    exact = distributions(shared_tts(), prompts)
    divergence = {}
    for quantize in ("int8", "int4"):
        found = distributions(shared_tts(quantize=quantize), prompts)
        divergence[quantize] = (np.exp(exact) * (exact - found)).sum(-1).mean()
    assert 0 < divergence["int8"] < 0.001
    assert divergence["int8"] < divergence["int4"] < 0.02
