"""The language model: prefill chunks and decode steps."""

from dataclasses import replace

import numpy as np
import pytest
from mindspore import Tensor, ops
from safetensors.numpy import save_file

from sparktts_ms.config_files import read_config
from sparktts_ms.errors import WeightsError
from sparktts_ms.qwen2.language_model import DEVICE_TOP_K, LanguageModel, StepLogits
from sparktts_ms.runtime import Runtime
from sparktts_ms.weights.checkpoint import open_weights
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
    assert len(calls) == 2          # all layers, logits
    tts.engine.cancel(utterance.sequence)


@pytest.mark.parametrize("rows", [1, 20])
def test_the_network_is_its_layers(kernels, shared_tts, rows):
    tts = shared_tts("pynative").load()
    network = tts.llm.network
    x = np.random.default_rng(5).standard_normal((rows, tts.config.llm.hidden_size))
    x = Tensor(x.astype(np.float32))
    inputs = Tensor(np.arange(rows, dtype=np.int32)), Tensor(np.int32([tts.llm.num_slots]))
    expected = x
    for layer in network.layers:
        expected = layer(expected, *inputs)
    np.testing.assert_array_equal(network(x, inputs).asnumpy(), expected.asnumpy())


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


# The output matrix

@pytest.fixture(scope="module")
def small_llm(tiny_model):
    """Configuration and arrays of the tiny language model."""
    file = open_weights(tiny_model / "LLM" / "model.safetensors")
    arrays = {name: np.array(file.read(name)) for name in file.info}
    arrays.pop("lm_head.weight", None)
    return read_config(tiny_model).llm, arrays


def load_llm(folder, small_llm, tied, **more):
    """The language model with these arrays besides, and its logits of two ids [V]."""
    config, arrays = small_llm
    save_file(arrays | more, folder / "model.safetensors")
    model = LanguageModel(folder / "model.safetensors", replace(config, tie_word_embeddings=tied),
                          Runtime.start("CPU", mode="pynative"))
    sequence = SingleSequence(model, model.head(np.arange(config.vocab_size)))
    sequence.prefill(np.array([5, 7]))
    return model, sequence.decode_step(7)


@pytest.mark.parametrize("tied", [None, True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_head_is_the_embedding(tmp_path, small_llm, tied, dtype, caplog):
    head = small_llm[1]["model.embed_tokens.weight"].astype(dtype)
    model, _ = load_llm(tmp_path, small_llm, tied, **{"lm_head.weight": head})
    assert model.output_embedding is model.embedding
    assert not caplog.records


@pytest.mark.parametrize("tied", [None, False])
def test_head_of_its_own_is_used(tmp_path, small_llm, tied):
    _, plain = load_llm(tmp_path, small_llm, True)
    head = 2 * small_llm[1]["model.embed_tokens.weight"]
    model, logits = load_llm(tmp_path, small_llm, tied, **{"lm_head.weight": head})
    assert_close(logits, 2 * plain, 1e-5)
    np.testing.assert_array_equal(model.embedding, small_llm[1]["model.embed_tokens.weight"])


def test_head_against_the_configuration_gives_a_warning(tmp_path, small_llm, caplog):
    _, plain = load_llm(tmp_path, small_llm, True)
    head = 2 * small_llm[1]["model.embed_tokens.weight"]
    _, logits = load_llm(tmp_path, small_llm, True, **{"lm_head.weight": head})
    assert_close(logits, plain, 0)
    (record,) = caplog.records
    assert "tie_word_embeddings" in record.getMessage()


def test_head_that_is_missing_is_named(tmp_path, small_llm):
    with pytest.raises(WeightsError, match=r"lacks lm_head\.weight.*tie_word_embeddings"):
        load_llm(tmp_path, small_llm, False)
