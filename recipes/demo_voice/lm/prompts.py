"""Prompts for reinforcement learning, each with the phones and the number of frames to expect."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from recipes.demo_voice.lm.dataset import AlignedRecording
from recipes.demo_voice.lm.recordings import PhoneInventory
from sparktts_ms.generation.prompt import clone_prompt
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.training.examples import CANDIDATES, TYPICAL_RATE_RATIO, style_example

WORD_ROW_WEIGHT = 0.3      # probability of a row of words, a sentence having 1
TWO_PROMPTS_PROB = 0.2      # that two recordings are continued rather than one
MIN_PITCH = 20              # Hz


@dataclass(frozen=True)
class Prompt:
    """ids: ends where speech begins. phones, words [P]: phones to generate, and the word of each.
    num_frames: of the reference synthesizer. word_alignment [words, 2]: of all text and speech, the
    prompt's included, the frame and the byte at which each word ends. prompt_frames: frames of
    speech in the prompt."""

    ids: np.ndarray
    phones: np.ndarray
    words: np.ndarray
    num_frames: int
    word_alignment: np.ndarray
    prompt_frames: int = 0

    def aligned_to(self, word_ends: np.ndarray) -> np.ndarray:
        """The word alignment if the words to generate ended at these frames after the prompt."""
        alignment = self.word_alignment.copy()
        alignment[len(alignment) - len(word_ends):, 0] = self.prompt_frames + word_ends
        return alignment


class PromptSampler:
    """Draws prompts for texts of recordings, of three kinds: zero-shot clone, continuation of
    another recording with its transcript, and style labels."""

    KINDS = ("clone", "continuation", "style")
    PROBABILITIES = (0.35, 0.45, 0.2)

    def __init__(self, vocabulary: Vocabulary, inventory: PhoneInventory,
                 recordings: list[AlignedRecording], max_length: int,
                 word_rows: frozenset[str] = frozenset()):
        self.vocabulary = vocabulary
        self.inventory = inventory
        self.recordings = recordings
        self.max_length = max_length
        weights = [WORD_ROW_WEIGHT if r.text in word_rows else 1.0 for r in recordings]
        self.probabilities = np.array(weights) / np.sum(weights)
        self.by_speaker: dict[str, list[AlignedRecording]] = {}
        for recording in recordings:
            self.by_speaker.setdefault(recording.speaker, []).append(recording)
        self.median_rate = {}
        for speaker, group in self.by_speaker.items():
            self.median_rate[speaker] = np.median([r.speaking_rate for r in group])

    def draw(self, rng: np.random.Generator, kind: str | None = None) -> Prompt:
        while True:
            n = int(rng.choice(len(self.recordings), p=self.probabilities))
            chosen = kind or str(rng.choice(self.KINDS, p=self.PROBABILITIES))
            prompt = self._prompt(self.recordings[n], chosen, rng)
            if prompt is not None and len(prompt.ids) + prompt.num_frames <= self.max_length:
                return prompt

    def _prompt(self, recording: AlignedRecording, kind: str, rng: np.random.Generator,
                ) -> Prompt | None:
        """None if the recording does not suit the kind."""
        v = self.vocabulary
        if kind == "style":
            example = style_example(v, recording)
            if example is None:
                return None
            start = int(np.flatnonzero(example.ids == v.start_semantic_token)[0])
            return self._with_targets(example.ids[:start + 1].astype(np.int64), recording)
        if kind == "clone" and self._rate_is_atypical(recording):
            return None                 # nothing in the prompt would tell the rate
        similar = self._similar_recordings(recording, rng)
        if kind == "clone":
            ids = clone_prompt(v, recording.text, similar[0].global_ids)
            return self._with_targets(np.append(ids, v.start_semantic_token), recording)
        before = similar[0]
        if len(similar) > 1 and rng.random() < TWO_PROMPTS_PROB:
            before = before.concatenate(similar[1])
        ids = clone_prompt(v, recording.text, before.global_ids, before.text, before.semantic_ids)
        return self._with_targets(ids, recording, before)

    def _with_targets(self, ids: np.ndarray, recording: AlignedRecording,
                      before: AlignedRecording | None = None) -> Prompt:
        full = recording if before is None else before.concatenate(recording)
        phones, words = self.inventory.transcript(recording)
        num_frames = len(recording.semantic_ids)
        return Prompt(ids, phones, words, num_frames, full.word_alignment,
                      len(full.semantic_ids) - num_frames)

    def _rate_is_atypical(self, recording: AlignedRecording) -> bool:
        ratio = recording.speaking_rate / self.median_rate[recording.speaker]
        return abs(math.log(ratio)) > math.log(TYPICAL_RATE_RATIO)

    def _similar_recordings(self, recording: AlignedRecording, rng: np.random.Generator,
                            ) -> list[AlignedRecording]:
        """Others of the speaker, the most similar in rate and pitch first; the recording itself if
        there is no other."""
        group = self.by_speaker[recording.speaker]
        drawn = [group[n] for n in rng.integers(len(group), size=CANDIDATES)]
        others = [other for other in drawn if other is not recording] or [recording]

        def distance(other: AlignedRecording) -> float:
            rate = abs(math.log(other.speaking_rate / recording.speaking_rate))
            pitch = max(other.pitch, MIN_PITCH) / max(recording.pitch, MIN_PITCH)
            return rate + abs(math.log(pitch))
        return sorted(others, key=distance)
