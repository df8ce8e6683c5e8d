"""The sequences a language model learns from: a prompt as inference gives it (`prompt.py`), and what the model should have
answered (`phases.py`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparktts_ms.errors import InputError
from sparktts_ms.generation.attributes import LEVELS, Style, pitch_label, pitch_value, speed_label, speed_value
from sparktts_ms.generation.prompt import clone_prompt, style_prompt
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.training.dataset import EncodedRecording, concatenate
from sparktts_ms.training.warp import warp

TRIED = 16              # recordings among which those most like another are looked for
USUAL = 1.25            # times a speaker's median pace, or its inverse


@dataclass(frozen=True)
class TrainingExample:
    """Ids [L] of which the first `prompt_length` are prompt: not learnt, only read, as are frames of speech [T] that are not `loss_mask`.
    `word_alignment` [K, 2], if known: frames of speech, and how many bytes of the text have been said by then. `frame_phones` [T], if known:
    the phone of each frame after the prompt, `phone_positions` [T, 2] where in the text that is (see Encoded); `pronunciation`: the phones of
    each word of the text."""

    ids: np.ndarray
    prompt_length: int
    word_alignment: np.ndarray | None = None
    frame_phones: np.ndarray | None = None
    pronunciation: tuple[tuple[str, ...], ...] | None = None
    phone_positions: np.ndarray | None = None
    loss_mask: np.ndarray | None = None


def clone_example(v: Vocabulary, spoken: EncodedRecording) -> TrainingExample:
    """Text and voice are given; speech is learnt."""
    prompt = clone_prompt(v, spoken.text, spoken.global_ids)
    return _sequence(v, prompt, [v.start_semantic_token], spoken, spoken)


def continuation_example(v: Vocabulary, prompt: EncodedRecording, spoken: EncodedRecording) -> TrainingExample:
    """A recording with its transcript is given, and another text; its speech, in the recording's voice, is learnt."""
    prompt_length = clone_prompt(v, spoken.text, prompt.global_ids, prompt.text, prompt.semantic_ids)
    return _sequence(v, prompt_length, [], spoken, concatenate(prompt, spoken))


def style_example(v: Vocabulary, spoken: EncodedRecording) -> TrainingExample | None:
    """Text and labels are given; values, voice and speech are learnt. None without gender or pitch."""
    if spoken.gender is None or not spoken.pitch:
        return None
    style = Style(spoken.gender, LEVELS[pitch_label(spoken.pitch, spoken.gender)], LEVELS[speed_label(spoken.rate, spoken.text)])
    voice = [v.start_acoustic_token, v.pitch_value[pitch_value(spoken.pitch)], v.speed_value[speed_value(spoken.rate)],
             v.end_acoustic_token, v.start_global_token, *(v.bicodec_global[g] for g in spoken.global_ids),
             v.end_global_token, v.start_semantic_token]
    return _sequence(v, style_prompt(v, spoken.text, style), voice, spoken, spoken)


def _sequence(v: Vocabulary, prompt: np.ndarray, before: list[int], spoken: EncodedRecording, whole: EncodedRecording) -> TrainingExample:
    """`prompt`, and of what is learnt the ids `before` the speech, the speech of `spoken`, and the end; `whole` is all speech."""
    speech = (v.bicodec_semantic[s] for s in spoken.semantic_ids)
    return TrainingExample(np.array([*prompt, *before, *speech, v.end], np.int32), len(prompt), whole.word_alignment, spoken.frame_phones,
                    whole.pronunciation, spoken.phone_positions, spoken.loss_mask)


def make_examples(v: Vocabulary, spoken: list[EncodedRecording], random: np.random.Generator, longest: int, warped: float = 0.0,
              ) -> list[TrainingExample]:
    """One epoch, in random order: each recording once by its labels and once as a clone. A third of the clones continue other
    recordings of the same speaker at about the same pace and pitch, one or two of them, where there are any and it fits. So does
    each that is unusually slow or fast for its speaker, or it is left out of the clones: nothing else in a clone's prompt tells
    the pace, and without a transcript a voice should speak as it usually does. The share `warped` of all is warped (`warp.py`).
    What exceeds `longest` ids is left out."""
    by_speaker: dict[str | None, list[EncodedRecording]] = {}
    for one in spoken:
        by_speaker.setdefault(one.speaker, []).append(one)

    def heard(one: EncodedRecording) -> EncodedRecording:
        return warp(one, random) if random.random() < warped else one
    made: list[TrainingExample | None] = []
    for speaker, recordings in by_speaker.items():
        manners = np.log([(max(one.rate, 0.1), max(one.pitch, 20.0)) for one in recordings])
        usual = np.abs(manners[:, 0] - np.median(manners[:, 0])) <= math.log(USUAL)
        for n, one in enumerate(recordings):
            by_labels, clone = style_example(v, heard(one)), None
            expected = speaker is None or usual[n] or by_labels is None
            if speaker is not None and (not expected or random.random() < 1 / 3):
                tried = np.unique(random.integers(len(recordings), size=TRIED))
                tried = tried[tried != n]
                alike = tried[np.argsort(np.abs(manners[tried] - manners[n]).sum(1), kind="stable")[:2]]
                clone = _continued(v, [recordings[other] for other in alike], heard(one), longest, random)
            if clone is None and expected:
                clone = clone_example(v, heard(one))
            made += [clone, by_labels]
    kept = [sequence for sequence in made if sequence is not None and len(sequence.ids) <= longest]
    if not kept:
        raise InputError(f"No recording gives a sequence of at most {longest} tokens; raise --longest or cut the recordings.")
    return [kept[n] for n in random.permutation(len(kept))]


def _continued(v: Vocabulary, others: list[EncodedRecording], one: EncodedRecording, longest: int, random: np.random.Generator) -> TrainingExample | None:
    """`one` after both `others`, a third of the times, or after the first; None if there is none or it does not fit."""
    both = [concatenate(*others)] if len(others) == 2 and random.random() < 1 / 3 else []
    for prompt in [*both, *others[:1]]:
        sequence = continuation_example(v, prompt, one)
        if len(sequence.ids) <= longest:
            return sequence
    return None
