"""The steps that are measured, of this revision and of one with earlier names."""

from types import SimpleNamespace

import numpy as np
import pytest
from mindspore import Parameter, Tensor

import sparktts_ms
from benchmarks.model import Model
from sparktts_ms import SparkTTS


class Recorder:
    """Any attribute of it is a method that notes its name and arguments and returns `result`."""

    def __init__(self, names, result=None):
        self.calls = []
        for name in names:
            setattr(self, name, lambda *args, name=name: self.calls.append((name, args)) or result)


class Logits:
    def of(self, index, rows, top_k):
        return rows, rows + 100.0 * index


class Former:
    """The names of revision c47a299."""

    def __init__(self):
        self.steps = []
        self.codec = Recorder(["semantic_ids", "global_ids"])
        self.reader = Recorder(["read"], SimpleNamespace(asnumpy=lambda: np.ones((2, 3))))
        network = SimpleNamespace(get_parameters=lambda: [
            Parameter(Tensor(np.zeros((8, 4), np.float32)), "layers.0.out.weight"),
            Parameter(Tensor(np.zeros(4, np.float32)), "layers.0.out.bias"),
            Parameter(Tensor(np.zeros((100, 6), np.float32)), "layers.0.attention.keys"),
            Parameter(Tensor(np.zeros((100, 6), np.float32)), "layers.0.attention.values")])
        self.llm = SimpleNamespace(read=self.reader.read, limit=4096, slots=16, network=network)
        rows = SimpleNamespace(get_parameters=lambda: [
            Parameter(Tensor(np.zeros((2, 4), np.int8)), "weight")])
        self.head = SimpleNamespace(step=self.step, logits=rows)

    def _head(self, constrained):
        assert constrained
        return self.head

    def step(self, ids, positions, slots, ranges):
        self.steps.append((ids, positions, slots, ranges))
        return Logits()

    def features(self, samples):
        return "features"

    def mel(self, samples):
        assert samples.dtype == np.float32
        return "mel"


def test_former_names():
    tts = Former()
    model = Model(tts)
    assert (model.max_length, model.num_slots, model.prefill_chunk) == (4096, 16, 64)
    model.encode(np.zeros(10))
    assert tts.codec.calls == [("semantic_ids", ("features",)), ("global_ids", ("mel",))]
    assert model.prefill(3, np.arange(2), 5).shape == (2, 3)
    name, arguments = tts.reader.calls[0]
    assert name == "read" and arguments[0] == 3 and arguments[2] == 5
    logits = model.decode_step(np.array([7, 8]), 400, np.arange(2), np.arange(4))
    np.testing.assert_array_equal(logits, [[0, 1, 2, 3], [100, 101, 102, 103]])
    _, positions, _, ranges = tts.steps[0]
    assert positions.tolist() == [400, 400] and ranges.tolist() == [[0, 4], [0, 4]]


def test_what_a_decode_step_reads():
    assert Model(Former()).bytes_read() == {"weights": 8 * 4 * 4 + 2 * 4, "cache": 2 * 6 * 4}


@pytest.mark.parametrize("quantize, weights", [("none", "float"), ("int8", "int8")])
def test_the_former_argument(monkeypatch, tmp_path, quantize, weights):
    class FormerTTS(Former):
        @classmethod
        def from_pretrained(cls, model_dir, device_target="auto", weights="float"):
            tts = cls()
            tts.asked = weights
            return tts

        def load(self):
            return self

    monkeypatch.setattr(sparktts_ms, "SparkTTS", FormerTTS)
    assert Model.load(tmp_path, quantize).tts.asked == weights
    with pytest.raises(ValueError, match="no weights in int4"):
        Model.load(tmp_path, "int4")


@pytest.fixture(scope="module")
def model(tiny_model):
    return Model(SparkTTS.from_pretrained(tiny_model, device_target="CPU").load())


def test_steps_of_this_revision(model):
    semantic = model.tts.vocabulary.bicodec_semantic
    ids = np.array([semantic[number] for number in range(20)])
    rows = np.arange(semantic.count)
    for slot in (0, 1):
        model.prefill(slot, ids[:10], 0)
    alone = model.decode_step(ids[10:11], 10, np.array([0]), rows)[0]
    together = model.decode_step(ids[[10, 10]], 10, np.array([0, 1]), rows)
    np.testing.assert_array_equal(together, [alone, alone])
    assert np.isfinite(alone).all() and len(alone) == semantic.count


def test_encoding_of_this_revision(model):
    model.encode(np.random.default_rng(0).standard_normal(96000) * 0.1)


def test_segments_of_this_revision(model):
    assert model.num_segments("One sentence.") == 1
    assert model.num_segments("This is a sentence of some words. " * 60) > 8


def test_reads_at_least_its_matrices(model, kernels):
    config = model.tts.config.llm
    inner = config.num_hidden_layers * 3 * config.hidden_size * config.intermediate_size
    read = model.bytes_read()
    assert read["weights"] > 4 * inner
    kv = config.num_key_value_heads * config.head_dim
    assert read["cache"] == 2 * config.num_hidden_layers * kv * 4
