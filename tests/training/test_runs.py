"""Whole runs: that they learn, go on after a kill as if nothing had happened, and refuse what makes no sense."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from mindspore import Parameter, Tensor

from sparktts_ms import Sampling, SparkTTS
from sparktts_ms.errors import InputError
from sparktts_ms.training.checkpoint import State
from sparktts_ms.training.dataset import EncodedRecording
from sparktts_ms.training.optimizer import rate
from sparktts_ms.training.trainer import Settings
from sparktts_ms.voice import Voice
from tests.training.conftest import SMALL, Killed, killed_at, trainer


def test_the_rate_rises_and_falls():
    rates = [rate(n, 100, 1.0, 10) for n in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1.0 == max(rates) and rates[100] == pytest.approx(0.05)
    assert all(a > b for a, b in pairwise(rates[10:]))


def test_garbled_tokens_are_read_and_true_ones_learnt(tiny_model, spoken, tmp_path):
    run = trainer(tiny_model, tmp_path, spoken, replace(SMALL, garble=0.3))
    batch = next(iter(run.schedule(0)))
    heard, v = run._garbled(batch, 1), run.vocabulary
    changed = heard.ids != batch.ids
    assert changed.any() and heard.targets is batch.targets and heard.counts is batch.counts
    assert {int(t) in v.bicodec_semantic for t in batch.ids[changed]} == {True}
    assert (run._garbled(batch, 2).ids != heard.ids).any()


def test_a_killed_run_ends_as_if_it_had_not_been(tiny_model, spoken, tmp_path):
    trainer(tiny_model, tmp_path / "whole", spoken).train()
    with pytest.raises(Killed):
        trainer(tiny_model, tmp_path / "killed", spoken).train(killed_at(5))
    (tmp_path / "killed" / "progress.jsonl").open("a").write('{"step": 4, "lo')
    trainer(tiny_model, tmp_path / "killed", spoken).train()
    whole, killed = ((tmp_path / name / "state.safetensors").read_bytes() for name in ("whole", "killed"))
    assert whole == killed
    lines = [[json.loads(line) for line in (tmp_path / name / "progress.jsonl").read_text().splitlines()]
             for name in ("whole", "killed")]
    assert [e for e in lines[0] if "unseen_loss" in e] == [e for e in lines[1] if "unseen_loss" in e]
    with pytest.raises(InputError, match=r"rate: 0\.001 there, 0\.01 now"):
        trainer(tiny_model, tmp_path / "killed", spoken, replace(SMALL, rate=0.01)).train()


def test_a_run_that_knew_fewer_settings_goes_on(tmp_path):
    weight = Parameter(Tensor(np.arange(3, dtype=np.float32)), name="weight")
    State(tmp_path / "state.safetensors", {"rate": 0.1}).save(3, [weight])
    weight.set_data(Tensor(np.zeros(3, np.float32)))
    assert State(tmp_path / "state.safetensors", {"rate": 0.1, "warp": 0.0}, later={"rate": 0.2, "warp": 0.0}).load([weight]) == 3
    assert weight.asnumpy().tolist() == [0, 1, 2]
    for other in ({"rate": 0.2, "warp": 0.0}, {"rate": 0.1, "warp": 0.5}):
        with pytest.raises(InputError, match="other settings"):
            State(tmp_path / "state.safetensors", other, later={"rate": 0.2, "warp": 0.0}).load([weight])


def test_what_was_learnt_is_said(tiny_model, spark, spoken, tmp_path):
    """From recordings to a model directory that, at temperature 0, answers with the very ids of the recording."""
    short = [EncodedRecording(**{**vars(one), "speaker": None, "gender": None, "semantic_ids": one.semantic_ids[:20]}) for one in spoken]
    run = trainer(tiny_model, tmp_path / "run", [short[0], short[1]],
                  Settings(steps=120, rate=3e-3, warmup=10, tokens=400, longest=512, holdout=3, save_every=200))
    run.train()
    tts = SparkTTS.from_pretrained(run.write_model("float16"), device_target="CPU")
    for one in short:
        speech = tts.synthesize(one.text, Voice(np.array(one.global_ids)), sampling=Sampling(temperature=0, max_new_tokens=40))
        assert speech.semantic_ids.tolist() == one.semantic_ids and speech.complete


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"rate": 0.0}, {"rate": 1.5}, {"holdout": 1}, {"lora": -1}, {"tokens": 0},
                                   {"garble": -0.1}, {"garble": 0.6}, {"warp": 1.1}, {"warp": -0.1},
                                   {"phones": -1.0}])
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(InputError):
        Settings(**wrong)
