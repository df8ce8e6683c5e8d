"""Sampling of the next token: temperature, top-k, top-p, in that order.

Source: transformers' logits warpers.
"""

import math
import sys
from dataclasses import dataclass

import numpy as np

from sparktts_ms.errors import InputError, WeightsError, quoted

GREEDY_BELOW = 1e-5     # temperatures by which logits cannot be divided; vLLM's limit


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters of the language model.

    temperature: 0 is greedy. top_k: 0 is off. top_p: 1 is off. max_new_tokens: 50 make one second
    of speech. min_new_tokens: the end is not allowed before that many. seed: None draws one.
    constrained: tokens follow the grammar of an utterance, and only the ids that it allows are
    considered; False is upstream's behaviour. Raises InputError for values out of range.
    """

    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 0.95
    max_new_tokens: int = 3000
    min_new_tokens: int = 0
    seed: int | None = None
    constrained: bool = True

    def __post_init__(self):
        for name in ("top_k", "max_new_tokens", "min_new_tokens", "seed"):
            value = getattr(self, name)
            if name == "seed" and value is None:
                continue
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
                raise InputError(f"{name} is {quoted(value)}; it must be a whole number.")
        temperature_valid = 0 <= self.temperature <= sys.float_info.max
        checks = (
            ("temperature", temperature_valid, "0 (greedy) or more"),
            ("top_k", self.top_k >= 0, "0 (all) or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("max_new_tokens", self.max_new_tokens >= 1, "1 or more"),
            ("min_new_tokens", 0 <= self.min_new_tokens <= self.max_new_tokens,
             "between 0 and max_new_tokens"),
            ("seed", self.seed is None or self.seed >= 0, "0 or more"),
        )
        for name, valid, rule in checks:
            if not valid:
                raise InputError(f"{name} is {quoted(getattr(self, name))}; it must be {rule}.")

    def generator(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


def filter_logits(logits: np.ndarray, sampling: Sampling) -> tuple[np.ndarray, np.ndarray]:
    """The distribution to sample from: indices into `logits` [N], and their probabilities, float64,
    ascending.

    Ids tied with the k-th largest stay; top-p keeps the smallest set of ids whose probability
    reaches top_p, at least one.
    """
    indices = np.arange(len(logits))
    if 0 < sampling.top_k < len(logits):
        kth_largest = np.partition(logits, -sampling.top_k)[-sampling.top_k]
        indices = np.flatnonzero(logits >= kth_largest)
    scaled = logits[indices].astype(np.float64) / float(sampling.temperature)
    order = np.argsort(scaled, kind="stable")
    indices = indices[order]
    scaled = scaled[order]
    probabilities = np.exp(scaled - scaled[-1])
    probabilities /= probabilities.sum()
    if sampling.top_p < 1:
        selected = np.cumsum(probabilities) > 1 - sampling.top_p
        selected[-1] = True
        indices = indices[selected]
        probabilities = probabilities[selected]
        probabilities /= probabilities.sum()
    return indices, probabilities


def sample(logits: np.ndarray, sampling: Sampling, generator: np.random.Generator) -> int:
    """Index of the next token among `logits` [N]. Raises WeightsError if they are not finite."""
    if not math.isfinite(logits.max()):
        raise WeightsError("The language model computes NaN or infinity.",
                           "Its weights are damaged, or its training diverged: take others.")
    if sampling.temperature < GREEDY_BELOW:
        return int(logits.argmax())
    indices, probabilities = filter_logits(logits, sampling)
    cumulative = np.cumsum(probabilities)
    drawn = np.searchsorted(cumulative, generator.random() * cumulative[-1], side="right")
    return int(indices[min(drawn, len(indices) - 1)])
