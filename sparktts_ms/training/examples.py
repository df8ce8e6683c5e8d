"""Training examples: a prompt exactly as inference builds it, followed by the answer to learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparktts_ms.errors import InputError
from sparktts_ms.generation import attributes
from sparktts_ms.generation.attributes import LEVELS, Style
from sparktts_ms.generation.prompt import clone_prompt, style_prompt
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.training.dataset import EncodedRecording

Augmentation = Callable[[EncodedRecording, np.random.Generator], EncodedRecording]

CANDIDATES = 16             # recordings drawn, of which the most similar one or two become a prompt
TYPICAL_RATE_RATIO = 1.25   # a typical speaking rate is within this factor of the speaker's median


@dataclass(frozen=True)
class TrainingExample:
    """Token ids [L], of which the first `prompt_length` are the prompt: read, not learned.

    recording: whose speech the answer is; prompt_recording: the one that it continues, if any.
    """

    ids: np.ndarray
    prompt_length: int
    recording: EncodedRecording | None = None
    prompt_recording: EncodedRecording | None = None


def clone_example(v: Vocabulary, recording: EncodedRecording) -> TrainingExample:
    """Zero-shot cloning: from text and voice to speech."""
    prompt = clone_prompt(v, recording.text, recording.global_ids)
    return _example(v, prompt, [v.start_semantic_token], recording)


def continuation_example(v: Vocabulary, prompt_recording: EncodedRecording,
                         recording: EncodedRecording) -> TrainingExample:
    """Cloning with a transcript: from another recording and a text to speech that continues it."""
    prompt = clone_prompt(v, recording.text, prompt_recording.global_ids,
                          prompt_recording.text, prompt_recording.semantic_ids)
    return _example(v, prompt, [], recording, prompt_recording)


def style_example(v: Vocabulary, recording: EncodedRecording) -> TrainingExample | None:
    """Controllable generation: from text and labels to attribute values, voice and speech.

    None for a recording without gender or pitch.
    """
    if recording.gender is None or not recording.pitch:
        return None
    rate = recording.speaking_rate
    pitch = LEVELS[attributes.pitch_label(recording.pitch, recording.gender)]
    speed = LEVELS[attributes.speed_label(rate, recording.text)]
    prompt = style_prompt(v, recording.text, Style(recording.gender, pitch, speed))
    voice = [v.bicodec_global[g] for g in recording.global_ids]
    prefix = [v.start_acoustic_token, v.pitch_value[attributes.pitch_value(recording.pitch)],
              v.speed_value[attributes.speed_value(rate)], v.end_acoustic_token,
              v.start_global_token, *voice, v.end_global_token, v.start_semantic_token]
    return _example(v, prompt, prefix, recording)


def _example(v: Vocabulary, prompt: np.ndarray, prefix: list[int], recording: EncodedRecording,
             prompt_recording: EncodedRecording | None = None) -> TrainingExample:
    """The answer is `prefix`, the recording's speech and the end token."""
    speech = [v.bicodec_semantic[s] for s in recording.semantic_ids]
    ids = np.array([*prompt, *prefix, *speech, v.end], np.int32)
    return TrainingExample(ids, len(prompt), recording, prompt_recording)


class ExampleBuilder:
    """Builds the examples of an epoch; those of more than `max_length` ids are left out.

    Each example sees its recording through `augment` with probability `augment_prob`.
    """

    def __init__(self, vocabulary: Vocabulary, max_length: int,
                 augment: Augmentation | None = None, augment_prob: float = 0.0):
        self.vocabulary = vocabulary
        self.max_length = max_length
        self.augment = augment
        self.augment_prob = augment_prob

    def epoch(self, recordings: list[EncodedRecording],
              random: np.random.Generator) -> list[TrainingExample]:
        """Every recording once by its labels and once as a clone, in random order.

        A third of the clones continue one or two other recordings of the speaker that are similar
        in rate and pitch. So does every recording of atypical rate, or it is not cloned: without a
        transcript nothing in the prompt tells the rate. Raises InputError if no example fits.
        """
        by_speaker: dict[str | None, list[EncodedRecording]] = {}
        for recording in recordings:
            by_speaker.setdefault(recording.speaker, []).append(recording)
        examples = []
        for group in by_speaker.values():
            for example in self._speaker_examples(group, random):
                if example is not None and len(example.ids) <= self.max_length:
                    examples.append(example)
        if not examples:
            raise InputError(f"No recording gives an example of at most {self.max_length} tokens.",
                             "Raise max_length or use shorter recordings.")
        return [examples[n] for n in random.permutation(len(examples))]

    def _speaker_examples(self, recordings: list[EncodedRecording],
                          random: np.random.Generator) -> list[TrainingExample | None]:
        """Examples of recordings that share a speaker, or of which none is known."""
        has_speaker = recordings[0].speaker is not None
        prosody = np.log([(max(r.speaking_rate, 0.1), max(r.pitch, 20.0)) for r in recordings])
        deviation = np.abs(prosody[:, 0] - np.median(prosody[:, 0]))
        typical = deviation <= math.log(TYPICAL_RATE_RATIO)
        examples = []
        for n, recording in enumerate(recordings):
            styled = style_example(self.vocabulary, self._augmented(recording, random))
            cloneable = not has_speaker or typical[n] or styled is None
            clone = None
            if has_speaker and (not cloneable or random.random() < 1 / 3):
                drawn = np.unique(random.integers(len(recordings), size=CANDIDATES))
                drawn = drawn[drawn != n]
                distance = np.abs(prosody[drawn] - prosody[n]).sum(1)
                nearest = drawn[np.argsort(distance, kind="stable")[:2]]
                clone = self._continuation([recordings[other] for other in nearest],
                                           self._augmented(recording, random), random)
            if clone is None and cloneable:
                clone = clone_example(self.vocabulary, self._augmented(recording, random))
            examples += [clone, styled]
        return examples

    def _augmented(self, recording: EncodedRecording,
                   random: np.random.Generator) -> EncodedRecording:
        if random.random() < self.augment_prob and self.augment is not None:
            return self.augment(recording, random)
        return recording

    def _continuation(self, similar: list[EncodedRecording], recording: EncodedRecording,
                      random: np.random.Generator) -> TrainingExample | None:
        """After both `similar` recordings in a third of the cases, else after the first; None if
        there is none or the example is too long."""
        prompts = similar[:1]
        if len(similar) == 2 and random.random() < 1 / 3:
            prompts = [similar[0].concatenate(similar[1]), *prompts]
        for prompt in prompts:
            example = continuation_example(self.vocabulary, prompt, recording)
            if len(example.ids) <= self.max_length:
                return example
        return None
