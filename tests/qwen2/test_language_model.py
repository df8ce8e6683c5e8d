"""The language model's decode step."""

from mindspore import ops

from sparktts_ms import Sampling
from tests.helpers import start_utterance


def test_kernels_per_decode_step(kernels, shared_tts, monkeypatch):
    tts = shared_tts("pynative").load()
    called = []
    call = ops.Custom.__call__

    def record(self, *inputs):
        called.append(self)
        return call(self, *inputs)

    monkeypatch.setattr(ops.Custom, "__call__", record)
    sampling = Sampling(seed=1, min_new_tokens=60, max_new_tokens=60)
    utterance = start_utterance(tts, "Count.", gender="female", sampling=sampling)
    while len(utterance.sequence.tokens) < 20:
        tts.engine.step()
    called.clear()
    tts.engine.step()
    assert len(called) == 5 * tts.config.llm.num_hidden_layers + 1
    tts.engine.cancel(utterance.sequence)
