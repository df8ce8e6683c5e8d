"""A training step as one graph: loss, gradients, clipping by global norm, AdamW in place.

Source of AdamW: arXiv 1711.05101.
"""

from __future__ import annotations

import math

import mindspore as ms
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from sparktts_ms.training.model import TrainableQwen2

BETA1 = 0.9
BETA2 = 0.98
EPSILON = 1e-8
MAX_GRAD_NORM = 1.0

# Mapped over all weights: MindSpore's compiler nests too deep in a loop over hundreds of them.
_squared_norm = ops.MultitypeFuncGraph("squared_norm")
_adamw = ops.MultitypeFuncGraph("adamw")


@_squared_norm.register("Tensor")
def _tensor_squared_norm(gradient):
    # rows first: MindSpore on CPU sums all elements in one step a dozen times slower
    return (gradient * gradient).sum(-1).sum()


@_adamw.register("Function", *["Tensor"] * 5, "Number", "Tensor")
def _adamw_update(update, lr, grad_scale, weight, moment1, moment2, weight_decay, gradient):
    return update(weight, moment1, moment2, lr, BETA1, BETA2, EPSILON, weight_decay,
                  gradient * grad_scale)


def cosine_schedule(step: int, max_steps: int, peak: float, warmup_steps: int,
                    floor: float = 0.05) -> float:
    """The learning rate of step 0, 1, ...: linear warmup, then a half cosine to `floor * peak`."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = min(1.0, (step - warmup_steps) / max(1, max_steps - warmup_steps))
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))


class TrainingStep(nn.Cell):
    """Updates the network's trainable parameters with one batch.

    Returns the mean loss, the accuracy, the norm of the gradients before clipping, and the metrics
    that the network returns beside its losses.
    """

    def __init__(self, network: TrainableQwen2, weight_decay: float):
        super().__init__()
        self.network = network
        self.weights = ParameterTuple(network.trainable_params())
        self.moment1 = self._zeros("moment1")
        self.moment2 = self._zeros("moment2")
        # no decay for biases and norms
        self.weight_decay = tuple(weight_decay if len(w.shape) > 1 else 0.0 for w in self.weights)
        self.value_and_grad = ms.value_and_grad(self.objective, None, self.weights, has_aux=True)
        self.adamw = ops.AdamWeightDecay()
        self.map = ops.HyperMap()

    def _zeros(self, prefix: str) -> ParameterTuple:
        return ParameterTuple([
            Parameter(Tensor(np.zeros(w.shape, np.float32)), f"{prefix}.{w.name}", False)
            for w in self.weights])

    def objective(self, *inputs):
        outputs = self.network(*inputs)
        if len(outputs) == 2:
            return outputs[0], outputs
        return outputs[0] + outputs[2], outputs

    def construct(self, learning_rate: Tensor, *inputs):
        # inputs: those of the network, of which the third is the loss mask
        (_, outputs), gradients = self.value_and_grad(*inputs)
        mean = 1.0 / ops.maximum(inputs[2].sum(), 1.0)
        norm = ops.sqrt(ops.addn(self.map(_squared_norm, gradients))) * mean
        grad_scale = mean * ops.minimum(1.0, MAX_GRAD_NORM / (norm + 1e-6))
        update = ops.partial(_adamw, self.adamw, learning_rate, grad_scale)
        updates = self.map(update, self.weights, self.moment1, self.moment2, self.weight_decay,
                           gradients)
        loss = ops.depend(outputs[0], updates)
        return (loss * mean, outputs[1] * mean, norm, *outputs[3:])
