"""Time warping: segments of an utterance are stretched or compressed; they are read, not learned.

Against a model that finds its position in the text by counting frames: its own speech is less even
than recordings are. Related: SpecAugment's time warping (arXiv 1904.08779).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recipes.demo_voice.lm.dataset import AlignedRecording
from sparktts_ms.generation.vocabulary import TOKENS_PER_SECOND
from sparktts_ms.training.batches import Batch

SPACING = 75        # tokens; one segment in each 1.5 s
MIN_SEGMENT = 10    # tokens
MAX_SEGMENT = 40
MAX_FACTOR = 2.0    # of the duration, either way


def warp_time(recording: AlignedRecording, random: np.random.Generator) -> AlignedRecording:
    """`recording` with warped segments, of which tokens are repeated or dropped.

    The alignment follows, and `loss_mask` excludes the segments. Pitch and duration of speech
    describe what is learned and stay as they were.
    """
    length = len(recording.semantic_ids)
    indices = []
    loss_mask = []
    copied = 0
    for begin in range(0, length - 2 * MIN_SEGMENT + 1, SPACING):
        available = min(SPACING, length - begin)
        size = int(random.integers(MIN_SEGMENT, min(MAX_SEGMENT, available // 2) + 1))
        start = begin + int(random.integers(0, available - size + 1))
        warped_size = max(1, round(size * MAX_FACTOR ** random.uniform(-1, 1)))
        indices.append(np.arange(copied, start))
        indices.append(start + np.arange(warped_size) * size // warped_size)
        loss_mask.append(np.ones(start - copied, bool))
        loss_mask.append(np.zeros(warped_size, bool))
        copied = start + size
    source = np.concatenate([*indices, np.arange(copied, length)])
    loss_mask.append(np.ones(length - copied, bool))
    # where each token is now, or the first one after it that was not dropped
    moved_to = np.searchsorted(source, np.arange(length + 1))

    def move(seconds: float) -> float:
        frame = np.interp(seconds * TOKENS_PER_SECOND, np.arange(length + 1), moved_to)
        return float(frame) / TOKENS_PER_SECOND

    word_ends = recording.word_ends
    if word_ends is not None:
        word_ends = tuple(move(end) for end in word_ends)
    phones = recording.phones
    if phones is not None:
        phones = tuple((name, move(end)) for name, end in phones)
    return replace(
        recording, semantic_ids=[recording.semantic_ids[n] for n in source], word_ends=word_ends,
        phones=phones, loss_mask=np.concatenate(loss_mask))


def mask_warped_frames(batch: Batch) -> Batch:
    """The batch with the loss masks of its recordings; their frames precede the end token."""
    loss_mask = batch.loss_mask
    for row, example in enumerate(batch.examples):
        recording = example.recording
        if isinstance(recording, AlignedRecording) and recording.loss_mask is not None:
            if loss_mask is batch.loss_mask:
                loss_mask = loss_mask.copy()
            end = len(example.ids) - 2
            loss_mask[row, end - len(recording.loss_mask):end] = recording.loss_mask
    return replace(batch, loss_mask=loss_mask)
