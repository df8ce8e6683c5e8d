"""Generation: one token after another, in phases.

A phase says which ids may come and how many of them. Without constraint there is one phase in which anything may come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sparktts_ms.qwen2.language_model import LanguageModel, Speaker
from sparktts_ms.qwen2.sampling import Sampling, choose


@dataclass(frozen=True)
class Phase:
    """`count` tokens out of `allowed` [N]; `count` None: until one of `stops`."""

    allowed: np.ndarray
    count: int | None = 1
    stops: tuple[int, ...] = ()


def generate(model: LanguageModel, speaker: Speaker, prompt: np.ndarray, phases: Sequence[Phase],
             sampling: Sampling) -> Iterator[int]:
    """Yield new ids until a stop (which is yielded too), the end of the phases, `max_new_tokens`, or a full cache."""
    generator = sampling.generator()
    room = min(sampling.max_new_tokens, model.limit - len(prompt))
    model.open(prompt)
    token, made = int(prompt[-1]), 0
    for phase in phases:
        rows, done = speaker.row_of[phase.allowed], 0
        stopping = np.isin(phase.allowed, phase.stops)
        while done != phase.count:
            if made == room:
                return
            logits = speaker.feed(token)[rows]
            if made < sampling.min_new_tokens and stopping.any():
                logits = np.where(stopping, -np.inf, logits)
            token = int(phase.allowed[choose(logits, sampling, generator)])
            made, done = made + 1, done + 1
            yield token
            if token in phase.stops:
                return
