"""The trainable network against the public implementation; gradients against differences."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from sparktts_ms.config_files import read_config
from sparktts_ms.runtime import Runtime
from sparktts_ms.training.model import TrainableQwen2
from sparktts_ms.weights.checkpoint import Checkpoint, find_weights, open_weights


def make_network(model, lora_rank=0):
    Runtime.start("CPU", mode="pynative")
    weights = Checkpoint(find_weights(model / "LLM"))
    return TrainableQwen2(weights.at("model"), read_config(model).llm, lora_rank)


@pytest.mark.parametrize("run", ["clone_no_text", "clone_prompt_text", "control_male"])
def test_loss_equals_public_implementation(tiny_model, golden, run):
    arrays = np.load(golden / f"tts_{run}.npz")
    network = make_network(tiny_model)
    ids = arrays["input_ids"].astype(np.int32)
    targets = arrays["prefill.all_argmax"].astype(np.int32)
    loss_mask = np.ones(len(ids), np.float32)
    loss, correct = network(Tensor(ids), Tensor(targets), Tensor(loss_mask),
                            *network.rope_and_mask(len(ids)))
    expected = (arrays["prefill.all_lse"] - arrays["prefill.all_max"]).sum()
    assert float(loss.asnumpy()) == pytest.approx(expected, rel=1e-4)
    assert float(correct.asnumpy()) == len(ids)


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_gradients_equal_finite_differences(tiny_model, lora_rank):
    network = make_network(tiny_model, lora_rank)
    random = np.random.default_rng(3)
    for parameter in network.trainable_params():
        if "lora_b" in parameter.name:      # zero at first, and so is the gradient of lora_a
            value = 0.05 * random.standard_normal(parameter.shape)
            parameter.set_data(Tensor(value.astype(np.float32)))
    ids = random.integers(0, 1000, 2 * 12).astype(np.int32)
    loss_mask = (np.arange(24) % 12 > 3).astype(np.float32)
    inputs = (Tensor(ids), Tensor(np.roll(ids, -1)), Tensor(loss_mask),
              *network.rope_and_mask(12))
    weights = ms.ParameterTuple(network.trainable_params())
    _, gradients = ms.value_and_grad(network, None, weights, has_aux=True)(*inputs)
    for weight, gradient in zip(weights, gradients, strict=True):
        if not any(part in weight.name for part in ("layers.1", "embed", "norm.weight")):
            continue
        gradient = gradient.asnumpy().astype(np.float64)
        norm = np.linalg.norm(gradient)
        start = weight.asnumpy()
        direction = gradient / max(norm, 1e-12)
        losses = []
        for step in (1e-2, -1e-2):
            weight.set_data(Tensor((start + step * direction).astype(np.float32)))
            losses.append(float(network(*inputs)[0].asnumpy()))
        weight.set_data(Tensor(start))
        slope = (losses[0] - losses[1]) / 2e-2
        assert slope == pytest.approx(norm, rel=0.03, abs=2e-2), weight.name


def test_lora_merges_into_released_weights(tiny_model):
    network = make_network(tiny_model, 2)
    random = np.random.default_rng(4)
    assert all("lora" in parameter.name for parameter in network.trainable_params())
    for parameter in network.trainable_params():
        value = 0.1 * random.standard_normal(parameter.shape)
        parameter.set_data(Tensor(value.astype(np.float32)))
    merged = network.state_dict()
    assert merged.keys() == open_weights(find_weights(tiny_model / "LLM")).info.keys()
    plain = make_network(tiny_model)
    for name, parameter in plain.parameters_and_names():
        parameter.set_data(Tensor(merged[f"model.{name}"]))
    ids = random.integers(0, 1000, 20).astype(np.int32)
    inputs = (Tensor(ids), Tensor(ids), Tensor(np.ones(20, np.float32)),
              *network.rope_and_mask(20))
    loss = float(network(*inputs)[0].asnumpy())
    assert loss == pytest.approx(float(plain(*inputs)[0].asnumpy()), rel=1e-5)
