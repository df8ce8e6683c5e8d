"""Guided attention and phone losses in the trainer's network."""

from dataclasses import replace

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from recipes.demo_voice.lm.auxiliary_loss import CURRENT_WORD_WEIGHT, PretrainingQwen2
from recipes.demo_voice.lm.dataset import AlignedRecording
from recipes.demo_voice.lm.pretrain import PretrainingExtension, PretrainingSettings
from sparktts_ms import SparkTTS
from sparktts_ms.config_files import read_config
from sparktts_ms.errors import InputError
from sparktts_ms.runtime import Runtime
from sparktts_ms.weights.checkpoint import Checkpoint, find_weights
from tests.helpers import TRAINING_SETTINGS, add_alignment, make_trainer


def pretraining(model, output_dir, recordings, max_steps=8, **values):
    extension = PretrainingExtension(PretrainingSettings(**values))
    settings = replace(TRAINING_SETTINGS, max_steps=max_steps)
    return make_trainer(model, output_dir, recordings, settings, extension)


def test_guided_heads_follow_the_prior(tiny_model, recordings, tmp_path):
    aligned = [AlignedRecording(**vars(recording)) for recording in recordings]
    before = {}
    after = {}
    for weight in (0.0, 0.3):
        folder = tmp_path / str(weight)
        trainer = pretraining(tiny_model, folder, aligned, 12, guided_attention_weight=weight)
        guided = PretrainingExtension(PretrainingSettings(guided_attention_weight=1.0))
        guided.attach(trainer)
        batch = next(trainer.loader.batches())
        inputs = (*trainer._inputs(batch), *guided.inputs(batch, 1))
        before[weight] = float(trainer.network(*inputs)[4].asnumpy())
        trainer.train()
        after[weight] = float(trainer.network(*inputs)[4].asnumpy())
    assert before[0.0] == pytest.approx(before[0.3])
    assert after[0.3] < 0.8 * before[0.3]
    assert after[0.3] < 0.8 * after[0.0]


def test_forced_attention_ignores_the_heads_own(tiny_model):
    config = read_config(tiny_model).llm
    Runtime.start("CPU", mode="pynative")
    weights = Checkpoint(find_weights(tiny_model / "LLM"))
    network = PretrainingQwen2(weights.at("model"), config)
    attention = network.layers[network.middle].self_attn
    random = np.random.default_rng(0)
    x = Tensor(random.standard_normal((2 * 24, config.hidden_size)).astype(np.float32))
    prior = np.tril(random.uniform(0, 1, (2, 2, 24, 24))).astype(np.float32)
    prior[..., 1] = 0.0
    prior[1, :, 5] = 1.0                # the only query without a target
    prior[:, :, 0, 0] = 0.5
    context = network.expand_context(2, *network.rope_and_mask(24))

    def attend(forcing):
        y, loss = attention(x, context, Tensor(prior), Tensor(forcing, ms.float32))
        return y.asnumpy().reshape(2, 24, -1), float(loss.asnumpy())

    forced_before, loss_before = attend(1.0)
    free_before, free_loss = attend(0.0)
    assert loss_before == pytest.approx(free_loss)
    weight = attention.q_proj.weight.asnumpy().copy()
    for head in (0, config.num_attention_heads // 2):       # queries of the guided heads
        weight[head * config.head_dim:(head + 1) * config.head_dim] *= -3
    attention.q_proj.weight.set_data(Tensor(weight))
    forced_after, loss_after = attend(1.0)
    free_after, _ = attend(0.0)
    has_target = np.ones((2, 24), bool)
    has_target[1, 5] = False
    np.testing.assert_allclose(forced_after[has_target], forced_before[has_target], atol=1e-5)
    assert np.abs(forced_after[~has_target] - forced_before[~has_target]).max() > 1e-3
    assert np.abs(free_after - free_before)[has_target].max() > 1e-3
    assert loss_after != pytest.approx(loss_before)


@pytest.mark.parametrize(
    "attention_weight", [pytest.param(0.0, marks=pytest.mark.slow), 0.3])
def test_phone_losses_fall_and_classifiers_are_not_saved(
        tiny_model, recordings, tmp_path, attention_weight):
    aligned = [add_alignment(recording) for recording in recordings]
    trainer = pretraining(tiny_model, tmp_path, aligned, 24, phone_loss_weight=0.5,
                          guided_attention_weight=attention_weight)
    phones = trainer.extension.phones
    batch = next(trainer.loader.batches())
    targets = trainer.extension.inputs(batch, 1)[2:]

    def phone_loss():
        outputs = trainer.network(*trainer._inputs(batch), None, None, *targets)
        return float(outputs[3].asnumpy())

    before = phone_loss()
    weights = (1, 1, CURRENT_WORD_WEIGHT)
    count = sum(weight * (target.asnumpy() >= 0).sum()
                for target, weight in zip(targets, weights, strict=True))
    assert before == pytest.approx(np.log(len(phones)) * count, rel=1e-4)
    trainer.train()
    assert phone_loss() < 0.8 * before
    SparkTTS.from_pretrained(trainer.write_model(), device_target="CPU")


def test_phone_losses_need_phones(tiny_model, recordings, tmp_path):
    aligned = [AlignedRecording(**vars(recording)) for recording in recordings]
    with pytest.raises(InputError, match="phones"):
        pretraining(tiny_model, tmp_path, aligned, phone_loss_weight=0.5)
