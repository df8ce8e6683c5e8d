"""Phone targets for auxiliary losses, of the text and of frames, where alignments are known.

Most of the entropy of a speech token is independent of the text; a phone follows from the text
alone. Three targets, for classifiers at consecutive layers: at the end of each word its
pronunciation; at each frame of speech the current word, in phones, and the index of the current
one; and that phone itself.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from recipes.demo_voice.lm.dataset import AlignedRecording, Pronunciation
from recipes.demo_voice.lm.guided_attention import text_tokens, word_starts
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.training.batches import Batch
from sparktts_ms.training.examples import TrainingExample

MAX_PHONES = 10     # of a word; the others are not learned
UNKNOWN = -1


def phone_inventory(recordings: Iterable[AlignedRecording]) -> list[str]:
    """The names of all phones, sorted; the first, empty one says that the word is over."""
    names = set()
    for recording in recordings:
        names.update(name for name, _ in recording.phones or () if name)
    return ["", *sorted(names)]


def full_recording(example: TrainingExample) -> AlignedRecording | None:
    """All speech of an example, the prompt's included."""
    recording = example.recording
    if example.prompt_recording is not None and recording is not None:
        recording = example.prompt_recording.concatenate(recording)
    return recording if isinstance(recording, AlignedRecording) else None


def word_alignments(batch: Batch) -> list[np.ndarray | None]:
    """Of each row the word alignment of all its speech."""
    alignments: list[np.ndarray | None] = [None] * len(batch.ids)
    for row, example in enumerate(batch.examples):
        recording = full_recording(example)
        if recording is not None:
            alignments[row] = recording.word_alignment
    return alignments


def pronunciation(example: TrainingExample) -> Pronunciation | None:
    """The phones of each word of an example's text."""
    known = getattr(example, "pronunciation", None)     # of a word list
    if known is not None:
        return known
    recording = full_recording(example)
    return None if recording is None else recording.pronunciation


def frame_phone_targets(batch: Batch, names: list[str]) -> np.ndarray:
    """int32 [B * L, 1]: the phone of the frame that each target is; -1 where not known."""
    targets = np.full(batch.ids.shape, UNKNOWN, np.int32)
    for row, example in enumerate(batch.examples):
        recording = example.recording
        if isinstance(recording, AlignedRecording) and recording.frame_phones is not None:
            phones = recording.frame_phones
            end = _speech_end(batch, row)
            targets[row, end - len(phones):end] = np.searchsorted(names, phones)
    return targets.reshape(-1, 1)


def current_word_targets(batch: Batch, names: list[str]) -> np.ndarray:
    """int32 [B * L, 11]: the phones of the word that each target is a frame of, and the index of
    the current one; -1 in pauses and where not known."""
    targets = np.full((*batch.ids.shape, MAX_PHONES + 1), UNKNOWN, np.int32)
    for row, example in enumerate(batch.examples):
        words = pronunciation(example)
        recording = example.recording
        if words is None or not isinstance(recording, AlignedRecording):
            continue
        positions = recording.phone_positions
        if positions is None:
            continue
        table = np.zeros((len(words) + 1, MAX_PHONES), np.int32)
        for n, word in enumerate(words):
            table[n, :len(word[:MAX_PHONES])] = np.searchsorted(names, word[:MAX_PHONES])
        words_left, index = positions.T
        phones = table[len(words) - words_left]
        last = min(MAX_PHONES, len(names)) - 1
        known = (words_left > 0) & (words_left <= len(words)) & (index >= 0) & (phones[:, 0] > 0)
        rows = np.concatenate([phones, np.minimum(index, last)[:, None]], 1)
        end = _speech_end(batch, row)
        targets[row, end - len(rows):end][known] = rows[known]
    return targets.reshape(-1, MAX_PHONES + 1)


def pronunciation_targets(batch: Batch, names: list[str], vocabulary: Vocabulary) -> np.ndarray:
    """int32 [B * L, 10]: at the token after each word its phones; -1 elsewhere."""
    targets = np.full((*batch.ids.shape, MAX_PHONES), UNKNOWN, np.int32)
    for row, example in enumerate(batch.examples):
        words = pronunciation(example)
        text = text_tokens(batch.ids[row], vocabulary)
        if words is None or text is None:
            continue
        begin, tokens = text
        starts = np.cumsum([0, *map(len, tokens)])
        word_ends = [*word_starts(tokens), starts[-1] - 1]
        indices = np.searchsorted(starts, word_ends, "right") - 1
        if len(indices) != len(words):
            continue
        for index, word in zip(indices, words, strict=True):
            if word:
                phones = np.searchsorted(names, word[:MAX_PHONES])
                targets[row, begin + index] = 0
                targets[row, begin + index, :len(phones)] = phones
    return targets.reshape(-1, MAX_PHONES)


def _speech_end(batch: Batch, row: int) -> int:
    """The position whose target is the end token."""
    return int(np.flatnonzero(batch.loss_mask[row])[-1])
