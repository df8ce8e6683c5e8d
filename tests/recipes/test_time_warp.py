"""Time warping of recordings and their alignments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.demo_voice.lm.dataset import AlignedRecording
from recipes.demo_voice.lm.time_warp import mask_warped_frames, warp_time
from sparktts_ms.training.batches import collate
from sparktts_ms.training.examples import ExampleBuilder, clone_example, continuation_example


def ends(count, unit, seconds):
    """The ends of so many words or phones of equal length, the last one at the recording's end."""
    return [(n + 1) * unit if n + 1 < count else seconds for n in range(count)]


@given(st.integers(1, 400), st.integers(0, 2**20))
def test_alignment_follows_the_frames(length, seed):
    """Frame n of the recording is in phone n // 7 of word n // 21, wherever it has moved."""
    seconds = length / 50
    words = max(1, length // 21)
    phones = max(1, length // 7)
    recording = AlignedRecording(
        " ".join(["word"] * words), "a", "female", [0] * 32, list(range(length)), 200.0, seconds,
        word_ends=tuple(ends(words, 0.42, seconds)),
        phones=tuple((str(n), end) for n, end in enumerate(ends(phones, 0.14, seconds))))
    warped = warp_time(recording, np.random.default_rng(seed))
    source = np.array(warped.semantic_ids)
    assert len(warped.loss_mask) == len(source)
    assert (np.diff(source) >= 0).all()
    learned = source[warped.loss_mask]
    assert (np.diff(learned) > 0).all()
    assert set(learned) | set(source[~warped.loss_mask]) == set(source)
    assert 3 * warped.loss_mask.sum() >= len(source)    # half of it at twice its length
    assert warped.loss_mask.all() == (length < 20)
    expected_phones = [str(min(n // 7, phones - 1)) for n in source]
    np.testing.assert_array_equal(warped.frame_phones, expected_phones)
    words_left = [words - min(n // 21, words - 1) for n in source]
    np.testing.assert_array_equal(warped.phone_positions[:, 0], words_left)
    assert warped.word_alignment[-1, 0] == pytest.approx(len(source), abs=1)
    assert (np.diff(warped.word_alignment[:, 0]) >= 0).all()
    for name in ("pitch", "seconds", "text", "global_ids"):
        assert getattr(warped, name) == getattr(recording, name)


def test_warped_frames_are_not_learned(vocabulary, recordings):
    v = vocabulary
    first, second = [AlignedRecording(**vars(recording)) for recording in recordings]
    warped = warp_time(first, np.random.default_rng(3))
    for example in (clone_example(v, warped), continuation_example(v, second, warped)):
        batch = mask_warped_frames(collate([example], 640, 1))
        learned = np.flatnonzero(batch.loss_mask[0])
        expected = np.array(warped.semantic_ids)[warped.loss_mask].tolist()
        assert v.bicodec_semantic.values(batch.targets[0, learned]).tolist() == expected
        assert batch.targets[0, learned[-1]] == v.end
        assert len(expected) < len(warped.semantic_ids)
        speech = v.bicodec_semantic.values(batch.ids[0]).tolist()
        assert speech[-len(warped.semantic_ids):] == warped.semantic_ids


@pytest.mark.parametrize("probability, minimum, maximum", [(0.0, 0, 0), (0.5, 21, 79)])
def test_warping_probability(vocabulary, recordings, probability, minimum, maximum):
    recording = AlignedRecording(**vars(recordings[0]))
    builder = ExampleBuilder(vocabulary, 640, warp_time, probability)
    examples = builder.epoch([recording] * 50, np.random.default_rng(0))
    warped = [example for example in examples if example.recording.loss_mask is not None]
    assert minimum <= len(warped) <= maximum
