"""The trained network against the public implementation, and its gradients against differences."""

from dataclasses import replace

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from sparktts_ms.config_files import read_config
from sparktts_ms.runtime import Runtime
from sparktts_ms.training.checkpoint import write_arrays
from sparktts_ms.training.model import TrainableQwen2
from sparktts_ms.training.optimizer import TrainingStep
from sparktts_ms.weights.checkpoint import Checkpoint, find_weights, open_weights
from tests.training.conftest import network


@pytest.mark.parametrize("run", ["clone_no_text", "clone_prompt_text", "control_male"])
def test_losses_are_those_of_the_public_implementation(tiny_model, golden, run):
    arrays = np.load(golden / f"tts_{run}.npz")
    net, ids = network(tiny_model), arrays["input_ids"].astype(np.int32)
    counts = np.ones(len(ids), np.float32)
    targets = arrays["prefill.all_argmax"].astype(np.int32)
    loss, hits = net(Tensor(ids), Tensor(targets), Tensor(counts), *net.surroundings(len(ids)))
    expected = (arrays["prefill.all_lse"] - arrays["prefill.all_max"]).sum()
    assert float(loss.asnumpy()) == pytest.approx(expected, rel=1e-4)
    assert float(hits.asnumpy()) == len(ids)


@pytest.mark.parametrize("rank", [0, 4])
def test_gradients_are_the_slopes_of_the_loss(tiny_model, rank):
    net, random = network(tiny_model, rank), np.random.default_rng(3)
    for parameter in net.trainable_params():
        if "lora_b" in parameter.name:          # zero at first, and with it the slope of its partner
            parameter.set_data(Tensor(0.05 * random.standard_normal(parameter.shape).astype(np.float32)))
    ids = random.integers(0, 1000, 2 * 12).astype(np.int32)
    inputs = (Tensor(ids), Tensor(np.roll(ids, -1)), Tensor((np.arange(24) % 12 > 3).astype(np.float32)), *net.surroundings(12))
    weights = ms.ParameterTuple(net.trainable_params())
    (_, _), gradients = ms.value_and_grad(net, None, weights, has_aux=True)(*inputs)
    chosen = [n for n, w in enumerate(weights) if any(part in w.name for part in ("layers.1", "embed", "norm.weight"))]
    for n in chosen:
        weight, slope = weights[n], gradients[n].asnumpy().astype(np.float64)
        start, direction = weight.asnumpy(), slope / max(np.linalg.norm(slope), 1e-12)
        losses = []
        for step in (1e-2, -1e-2):
            weight.set_data(Tensor((start + step * direction).astype(np.float32)))
            losses.append(float(net(*inputs)[0].asnumpy()))
        weight.set_data(Tensor(start))
        assert (losses[0] - losses[1]) / 2e-2 == pytest.approx(np.linalg.norm(slope), rel=0.03, abs=2e-2), weight.name


def test_lora_merges_into_the_weights_that_inference_reads(tiny_model):
    net, random = network(tiny_model, 2), np.random.default_rng(4)
    assert all("lora" in parameter.name for parameter in net.trainable_params())
    for parameter in net.trainable_params():
        parameter.set_data(Tensor(0.1 * random.standard_normal(parameter.shape).astype(np.float32)))
    plain = network(tiny_model)
    merged = net.released()
    assert merged.keys() == open_weights(find_weights(tiny_model / "LLM")).info.keys()
    for name, parameter in plain.parameters_and_names():
        parameter.set_data(Tensor(merged[f"model.{name}"]))
    ids = random.integers(0, 1000, 20).astype(np.int32)
    inputs = (Tensor(ids), Tensor(ids), Tensor(np.ones(20, np.float32)), *net.surroundings(20))
    assert float(net(*inputs)[0].asnumpy()) == pytest.approx(float(plain(*inputs)[0].asnumpy()), rel=1e-5)


def test_a_held_head_looks_where_it_should_whatever_it_wants(tiny_model):
    config = read_config(tiny_model).llm
    network = TrainableQwen2(Checkpoint(find_weights(tiny_model / "LLM")).at("model"), config)
    attention, random = network.layers[1].self_attn, np.random.default_rng(0)
    x = Tensor(random.standard_normal((2 * 24, config.hidden_size)).astype(np.float32))
    lead = np.tril(random.uniform(0, 1, (2, 2, 24, 24))).astype(np.float32)
    lead[..., 1], lead[1, :, 5] = 0.0, 1.0                          # all rows are led, but for one
    lead[:, :, 0, 0] = 0.5

    def heard(hold):
        y, astray = attention(x, network.spread(2, *network.surroundings(24)), Tensor(lead), Tensor(hold, ms.float32))
        return y.asnumpy().reshape(2, 24, -1), float(astray.asnumpy())
    before = heard(1.0), heard(0.0)
    weight = attention.q_proj.weight.asnumpy().copy()
    for head in (0, config.num_attention_heads // 2):               # the wishes of the heads that are led
        weight[head * config.head_dim:(head + 1) * config.head_dim] *= -3
    attention.q_proj.weight.set_data(Tensor(weight))
    after = heard(1.0), heard(0.0)
    led = np.ones((2, 24), bool)
    led[1, 5] = False
    np.testing.assert_allclose(after[0][0][led], before[0][0][led], atol=1e-5)
    assert np.abs(after[0][0][~led] - before[0][0][~led]).max() > 1e-3 < np.abs(after[1][0] - before[1][0])[led].max()
    assert before[0][1] == pytest.approx(before[1][1]) and after[0][1] != pytest.approx(before[0][1])


def test_a_network_as_deep_as_the_released_one_compiles(tiny_model, tmp_path):
    """Its hundreds of weights are updated without a loop, which MindSpore would nest more than 1,000 calls deep."""
    config = read_config(tiny_model).llm
    file = open_weights(find_weights(tiny_model / "LLM"))
    arrays = {name: file.read(name).astype(np.float32) for name in file.info}
    for n in range(24):
        arrays |= {name.replace("layers.0.", f"layers.{n}."): array for name, array in arrays.items() if "layers.0." in name}
    write_arrays(tmp_path / "deep.safetensors", arrays)
    runtime = Runtime.start("CPU")
    network = TrainableQwen2(Checkpoint(tmp_path / "deep.safetensors").at("model"), replace(config, num_hidden_layers=24), 2)
    step = TrainingStep(network, 0.01)
    assert len(step.weights) == 24 * 7 * 2

    def learn(*inputs):
        return step(*inputs)
    ids = np.arange(16, dtype=np.int32)
    loss, _, norm, _ = runtime.compile(learn, "step")(Tensor(1e-3, ms.float32), Tensor(ids), Tensor(np.roll(ids, -1)),
                                                      Tensor(np.ones(16, np.float32)), *network.surroundings(16))
    assert np.isfinite(float(loss.asnumpy())) and float(norm.asnumpy()) > 0
