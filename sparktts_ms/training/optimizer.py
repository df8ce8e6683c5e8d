"""One step of training as one graph: loss, gradients, their common norm, AdamW (arXiv 1711.05101) in place."""

from __future__ import annotations

import math

import mindspore as ms
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from sparktts_ms.training.model import TrainableQwen2

BETAS, EPSILON = (0.9, 0.98), 1e-8
NORM = 1.0              # gradients longer than this are shortened to it

# Mapped over all weights: a loop over the hundreds of a whole model nests too deep for MindSpore's compiler.
_square = ops.MultitypeFuncGraph("square")
_update = ops.MultitypeFuncGraph("update")


@_square.register("Tensor")
def _square_of(gradient):
    return (gradient * gradient).sum(-1).sum()      # rows first: a CPU sums all elements at once a dozen times slower


@_update.register("Function", "Tensor", "Tensor", "Tensor", "Tensor", "Tensor", "Number", "Tensor")
def _updated(update, rate, scale, weight, first, second, decay, gradient):
    return update(weight, first, second, rate, BETAS[0], BETAS[1], EPSILON, decay, gradient * scale)


def rate(step: int, steps: int, peak: float, warmup: int, floor: float = 0.05) -> float:
    """The learning rate of step 0, 1, ...: up in a straight line for `warmup` steps, then down half a cosine to `floor`."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = min(1.0, (step - warmup) / max(1, steps - warmup))
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * share)))


class TrainingStep(nn.Cell):
    """Updates the network's trainable parameters and returns the batch's mean loss, the share of its targets that were hit,
    the norm that the gradients had, and the summed cross-entropy of all phones that were taught."""

    def __init__(self, network: TrainableQwen2, decay: float, guiding: float = 0.0, reading: float = 0.0):
        super().__init__()
        self.network, self.guiding, self.reading = network, guiding, reading
        self.weights = ParameterTuple(network.trainable_params())
        self.first, self.second = (
            ParameterTuple([Parameter(Tensor(np.zeros(w.shape, np.float32)), name=f"{prefix}.{w.name}", requires_grad=False)
                            for w in self.weights]) for prefix in ("first", "second"))
        self.decays = tuple(decay if len(w.shape) > 1 else 0.0 for w in self.weights)
        self.gradient = ms.value_and_grad(self.objective, None, self.weights, has_aux=True)
        self.update, self.over_all = ops.AdamWeightDecay(), ops.HyperMap()

    def objective(self, ids, targets, counts, cos, sin, mask, guide, hold, pronunciations, frame_phones, words):
        if guide is None and frame_phones is None:
            loss, hits = self.network(ids, targets, counts, cos, sin, mask)
            return loss, loss, hits, ops.zeros((), ms.float32)
        loss, hits, astray, misread = self.network(ids, targets, counts, cos, sin, mask, guide, hold, pronunciations, frame_phones,
                                                    words)
        return loss + self.guiding * astray + self.reading * misread, loss, hits, misread

    def construct(self, rate: Tensor, ids: Tensor, targets: Tensor, counts: Tensor, cos: Tensor, sin: Tensor, mask: Tensor,
                  guide: Tensor | None = None, hold: Tensor | None = None, pronunciations: Tensor | None = None,
                  frame_phones: Tensor | None = None, words: Tensor | None = None):
        (_, loss, hits, misread), gradients = self.gradient(ids, targets, counts, cos, sin, mask, guide, hold, pronunciations, frame_phones,
                                                            words)
        share = 1.0 / ops.maximum(counts.sum(), 1.0)
        norm = ops.sqrt(ops.addn(self.over_all(_square, gradients))) * share
        scale = share * ops.minimum(1.0, NORM / (norm + 1e-6))
        updates = self.over_all(ops.partial(_update, self.update, rate, scale),
                                self.weights, self.first, self.second, self.decays, gradients)
        loss = ops.depend(loss, updates)
        return loss * share, hits * share, norm, misread
