"""The language model: prefill chunks and decode steps."""

import numpy as np
import pytest
from mindspore import ops

from sparktts_ms.qwen2.language_model import DEVICE_TOP_K, StepLogits
from tests.helpers import SingleSequence, assert_close, fixed_length, start_utterance


@pytest.fixture(scope="module")
def tts(shared_tts, form):
    return shared_tts()


def record_calls(function, calls):
    def recorded(*inputs):
        calls.append(inputs)
        return function(*inputs)

    return recorded


def test_prefill_chunks_equal_single_steps(tts, form):
    prompt = np.random.default_rng(11).integers(0, 1400, 150)
    head = tts.llm.head(np.arange(tts.config.llm.vocab_size))
    sequence = SingleSequence(tts.llm, head)
    sequence.prefill(prompt)
    chunked = sequence.decode_step(int(prompt[-1]))
    sequence.length = 0
    for token in prompt:
        single = sequence.decode_step(int(token))
    # a row of the CPU kernels does not depend on the number of rows
    assert_close(single, chunked, 0 if form == "native" else 2e-5)


def test_embedding_is_not_copied(tts):
    assert not tts.llm.embedding.flags.owndata


def test_inputs_of_a_decode_step(tts, monkeypatch):
    """One call a token, with one embedding and a few indices."""
    calls = []
    head = tts.generator.head(True)
    monkeypatch.setattr(head, "_step", record_calls(head._step, calls))
    utterance = start_utterance(tts, "Count.", gender="female", sampling=fixed_length(1, 60))
    while not utterance.finished:
        tts.engine.step()
    tokens = utterance.sequence.tokens
    start = tokens.index(tts.vocabulary.start_acoustic_token)
    assert len(calls) == len(tokens) - start - 1
    for inputs in calls:
        assert sum(x.nbytes for x in inputs) <= 4 * (tts.config.llm.hidden_size + 4)


def test_kernels_of_a_decode_step(kernels, shared_tts, monkeypatch):
    tts = shared_tts("pynative").load()
    calls = []
    call = record_calls(ops.Custom.__call__, calls)
    monkeypatch.setattr(ops.Custom, "__call__", lambda self, *inputs: call(self, *inputs))
    utterance = start_utterance(tts, "Count.", gender="female", sampling=fixed_length(1, 60))
    while len(utterance.sequence.tokens) < 20:
        tts.engine.step()
    calls.clear()
    tts.engine.step()
    assert len(calls) == 5 * tts.config.llm.num_hidden_layers + 1
    tts.engine.cancel(utterance.sequence)


class DeviceArray:
    """A tensor that is on a device until it is copied, which may be forbidden."""

    def __init__(self, array=None):
        self.array = array

    def asnumpy(self):
        if self.array is None:
            raise AssertionError("all logits were copied")
        return self.array


def test_top_logits_are_copied_only():
    top = DeviceArray(np.float32([[3, 2, 1, 7, 5, 900]]))
    logits = StepLogits(DeviceArray(), top)
    rows, values = logits.candidates(0, np.arange(3, 3 + DEVICE_TOP_K + 5), 50)
    assert rows.tolist() == [5, 7] and values.tolist() == [2.0, 3.0]
