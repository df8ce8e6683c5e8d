"""Rollouts: speech is generated, its ids are recognized, and the expert labels it."""

from __future__ import annotations

import itertools
import math
import multiprocessing
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from recipes.demo_voice.lm.ctc_recognizer import CTCRecognizer
from recipes.demo_voice.lm.expert import ExpertTargets, expert_targets
from recipes.demo_voice.lm.model import Qwen2
from recipes.demo_voice.lm.prompts import Prompt
from recipes.demo_voice.lm.sampling import Sampler, generate

MAX_FRAMES = 400
LENGTH_TOLERANCE = 0.15     # of |log| of the length relative to the reference synthesizer's
LABELS_PER_CALL = 16
FAILURE_RATE = 0.3          # phone error rate of a rollout that has lost its place in the text


@dataclass(frozen=True)
class Rollout:
    """actions, log_probs [T]: sampled tokens as indices in `Sampler.allowed_ids`. expert_phones
    [T, 3]: expert targets of each action. word_alignment: of prompt and speech. length_error: |log|
    of the relative length beyond the tolerance."""

    prompt: Prompt
    actions: np.ndarray
    log_probs: np.ndarray
    expert_phones: np.ndarray
    word_alignment: np.ndarray
    phone_errors: int
    length_error: float

    @property
    def phone_error_rate(self) -> float:
        return self.phone_errors / len(self.prompt.phones)


def phone_error_rate(rollouts: list[Rollout]) -> float:
    """Phone errors over phones, of all rollouts together."""
    return sum(r.phone_errors for r in rollouts) / sum(len(r.prompt.phones) for r in rollouts)


def failure_rate(rollouts: list[Rollout]) -> float:
    return float(np.mean([r.phone_error_rate > FAILURE_RATE for r in rollouts]))


class RolloutWorker:
    """phone_probs [phones, codes]: of `PhoneInventory`; num_workers: processes that label."""

    def __init__(self, recognizer: CTCRecognizer, phone_probs: np.ndarray, sampler: Sampler,
                 num_workers: int):
        self.recognizer = recognizer
        self.num_codes = phone_probs.shape[1]
        self.label = partial(_label, phone_probs=phone_probs)
        self.sampler = sampler
        self.map = map
        if num_workers:
            self.map = multiprocessing.get_context("fork").Pool(num_workers).imap

    def rollouts(self, model: Qwen2, prompts: list[Prompt], seed: int) -> list[Rollout]:
        """One rollout of each prompt. Those of the shorter half are labelled by the workers while
        the others are sampled."""
        order = sorted(range(len(prompts)), key=lambda n: len(prompts[n].ids))
        middle = len(order) // 2
        pending = []
        for indices in (order[:middle], order[middle:]):
            pending.append((indices, *self._generate([prompts[n] for n in indices], model, seed)))
        rollouts: dict[int, Rollout] = {}
        for indices, samples, labels in pending:
            labels = itertools.chain.from_iterable(labels)
            for n, (actions, log_probs), label in zip(indices, samples, labels, strict=True):
                rollouts[n] = self._rollout(prompts[n], actions, log_probs, label)
        return [rollouts[n] for n in range(len(prompts))]

    def _generate(self, prompts: list[Prompt], model: Qwen2, seed: int,
               ) -> tuple[list[tuple[np.ndarray, np.ndarray]], Iterable[list[ExpertTargets]]]:
        """Samples, and their labels in chunks, perhaps still being computed."""
        max_tokens = [min(MAX_FRAMES, int(1.6 * p.num_frames) + 20) for p in prompts]
        samples = generate(model, [p.ids for p in prompts], max_tokens, self.sampler, seed)
        speech = [self._speech(actions) for actions, _ in samples]
        recognized = self.recognizer.recognize(speech)
        inputs = []
        for prompt, ids, (phones, ends) in zip(prompts, speech, recognized, strict=True):
            inputs.append((prompt.phones, prompt.words, ids, phones, ends))
        chunks = range(0, len(inputs), LABELS_PER_CALL)
        return samples, self.map(self.label, [inputs[k:k + LABELS_PER_CALL] for k in chunks])

    def _speech(self, actions: np.ndarray) -> np.ndarray:
        """Semantic ids, which are the first actions, without the stop."""
        return actions[actions < self.num_codes]

    def _rollout(self, prompt: Prompt, actions: np.ndarray, log_probs: np.ndarray,
                 label: ExpertTargets) -> Rollout:
        length = max(len(self._speech(actions)), 1) / prompt.num_frames
        return Rollout(prompt, actions, log_probs, label.phones[:len(actions)],
                       prompt.aligned_to(label.word_ends), label.phone_errors,
                       max(0.0, abs(math.log(length)) - LENGTH_TOLERANCE))


def _label(inputs: list[tuple[np.ndarray, ...]], phone_probs: np.ndarray) -> list[ExpertTargets]:
    return [expert_targets(*speech, phone_probs) for speech in inputs]
