"""Continuous batching: a sequence's ids do not depend on the rest of its batch."""

import numpy as np
import pytest

from tests.helpers import fixed_length, mixed_requests, start_utterance


@pytest.fixture(scope="module")
def tts(shared_tts, form):
    return shared_tts()


def test_everybody_says_in_company_what_they_say_alone(tts, form):
    wanted = mixed_requests()
    alone = []
    for request in wanted:
        utterance = start_utterance(tts, **request)
        while not utterance.finished:
            tts.engine.step()
        alone.append(utterance.sequence.tokens)
    together = []
    while tts.engine.step() or len(together) < len(wanted):     # one joins at each step, more than there are slots
        if len(together) < len(wanted):
            together.append(start_utterance(tts, **wanted[len(together)]))
    same = [u.sequence.tokens == tokens for u, tokens in zip(together, alone, strict=True)]
    # MindSpore's own products sum in another order for other numbers of rows: ties may fall otherwise there
    assert all(same) if form == "native" else sum(same) >= len(same) - 2


def test_who_leaves_early_does_not_matter_to_the_others(tts, form):
    first, *others = mixed_requests()[:4]
    alone = tts.synthesize(**first).generated_ids
    one, *rest = [start_utterance(tts, **request) for request in (first, *others)]
    for step in range(200):
        if step in (2, 10, 25) and rest:
            tts.engine.cancel(rest.pop().sequence)
        tts.engine.step()
    assert one.finished and not tts.engine.active
    if form == "native":
        np.testing.assert_array_equal(one.sequence.tokens, alone)


def test_a_long_prompt_holds_the_others_up_by_a_chunk_a_token(tts):
    speaking = start_utterance(tts, "First.", gender="female", sampling=fixed_length(1, 100))
    while len(speaking.sequence.tokens) < 10:
        tts.engine.step()
    reading = start_utterance(tts, "long " * 500, gender="female", sampling=fixed_length(2, 3))
    steps, said = 0, len(speaking.sequence.tokens)
    while not reading.sequence.tokens[len(reading.sequence.tokens):] and reading.sequence.num_cached == 0 and steps < 3:
        tts.engine.step()
        steps += 1
    tts.engine.step()
    assert len(speaking.sequence.tokens) >= said + steps
    for utterance in (reading, speaking):
        tts.engine.cancel(utterance.sequence)


def test_slots_are_given_back(tts):
    for _ in range(3):
        utterances = [start_utterance(tts, "Hi.", gender="female", sampling=fixed_length(n, 40)) for n in range(20)]
        assert len(tts.engine.waiting) == 20
        tts.engine.step()
        assert len(tts.engine.active) == 16 and len(tts.engine.waiting) == 4
        for utterance in utterances:
            tts.engine.cancel(utterance.sequence)
        assert not tts.engine.step() and sorted(tts.engine._free_slots) == list(range(16))


def test_what_a_decode_step_moves_and_runs(tts, form, monkeypatch):
    """One graph for each number of sequences, one call of it a step; what crosses to the host is the logits, or where they
    stay on the device, the best candidates."""
    head, calls = tts.generator.head(True), []
    monkeypatch.setattr(head, "_step", lambda *inputs, step=head._step: calls.append(inputs) or step(*inputs))
    utterance = start_utterance(tts, "Count.", gender="female", sampling=fixed_length(1, 60))
    while not utterance.finished:
        tts.engine.step()
    assert len(calls) == len(utterance.sequence.tokens) - utterance.sequence.tokens.index(tts.vocabulary.start_acoustic_token) - 1
    assert all(sum(x.nbytes for x in inputs) <= 4 * (tts.config.llm.hidden_size + 4) for inputs in calls)
    if form == "native":
        return
    from sparktts_ms.qwen2.language_model import DEVICE_TOP_K, StepLogits

    class Stays:
        def asnumpy(self):
            raise AssertionError("all logits were copied")

    values, rows = np.float32([[3, 2, 1]]), np.int32([[7, 5, 900]])
    best = tuple(type("Device", (), {"asnumpy": lambda self, a=a: a})() for a in (values, rows))
    found, logits = StepLogits(Stays(), best).candidates(0, np.arange(3, 3 + DEVICE_TOP_K + 5), 50)
    assert found.tolist() == [5, 7] and logits.tolist() == [2.0, 3.0]
