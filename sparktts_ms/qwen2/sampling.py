"""Choosing the next token: temperature, top-k, top-p, in that order. Source: transformers' logits warpers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparktts_ms.errors import InputError


@dataclass(frozen=True)
class Sampling:
    """How the language model is sampled.

    temperature: 0 is greedy. top_k: 0 keeps all. top_p: 1 keeps all. max_new_tokens: 50 make one second of speech.
    min_new_tokens: no end before that many. seed: None draws one. constrained: the phases of an utterance are enforced
    and only ids that may come next are considered; False is upstream's behaviour.
    Raises InputError for values out of range.
    """

    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 0.95
    max_new_tokens: int = 3000
    min_new_tokens: int = 0
    seed: int | None = None
    constrained: bool = True

    def __post_init__(self):
        whole = ("top_k", "max_new_tokens", "min_new_tokens") + (("seed",) if self.seed is not None else ())
        for name in whole:
            if not isinstance(getattr(self, name), (int, np.integer)) or isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be a whole number.")
        checks = {
            "temperature": (self.temperature >= 0 and math.isfinite(self.temperature), "0 (greedy) or more"),
            "top_k": (self.top_k >= 0, "0 (all) or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "max_new_tokens": (self.max_new_tokens >= 1, "1 or more"),
            "min_new_tokens": (0 <= self.min_new_tokens <= self.max_new_tokens, "between 0 and max_new_tokens"),
            "seed": (self.seed is None or self.seed >= 0, "0 or more"),
        }
        for name, (right, rule) in checks.items():
            if not right:
                raise InputError(f"{name} is {getattr(self, name)}; it must be {rule}.")

    def generator(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


def filter_logits(logits: np.ndarray, sampling: Sampling) -> tuple[np.ndarray, np.ndarray]:
    """What is drawn from: indices into `logits` [N], and their probabilities, float64, ascending.

    Ids tied with the k-th largest stay; top-p keeps the smallest set whose mass reaches top_p, at least one id.
    """
    kept = np.arange(len(logits))
    if 0 < sampling.top_k < len(logits):
        kth = np.partition(logits, -sampling.top_k)[-sampling.top_k]
        kept = np.flatnonzero(logits >= kth)
    scores = logits[kept].astype(np.float64) / sampling.temperature
    order = np.argsort(scores, kind="stable")
    kept, scores = kept[order], scores[order]
    weights = np.exp(scores - scores[-1])
    weights /= weights.sum()
    if sampling.top_p < 1:
        enough = np.cumsum(weights) > 1 - sampling.top_p
        enough[-1] = True
        kept, weights = kept[enough], weights[enough]
        weights /= weights.sum()
    return kept, weights


def sample(logits: np.ndarray, sampling: Sampling, generator: np.random.Generator) -> int:
    """Index of the next id among `logits` [N]."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    kept, weights = filter_logits(logits, sampling)
    mass = np.cumsum(weights)
    return int(kept[min(np.searchsorted(mass, generator.random() * mass[-1], side="right"), len(kept) - 1)])
