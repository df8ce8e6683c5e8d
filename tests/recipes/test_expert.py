"""The expert of DAgger. Phones are letters here, the last one the pause; the semantic id of a frame
is the number of its letter."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.demo_voice.lm.expert import MAX_PHONE_FRAMES, NO_PHONE, STOP, expert_targets

LETTERS = "abcdefgh_"
PAUSE = len(LETTERS) - 1
PHONE_PROBS = (np.eye(len(LETTERS)) * 0.99 + 0.001).astype(np.float32)


def to_ids(letters: str) -> np.ndarray:
    return np.array([LETTERS.index(letter) for letter in letters], int)


def recognize(frames: str) -> tuple[np.ndarray, np.ndarray]:
    """Each run of a letter as one phone, and its last frame."""
    ids = to_ids(frames)
    ends = np.zeros(0, int)
    if len(ids):
        ends = np.flatnonzero(np.append(ids[1:] != ids[:-1], True))
    ends = ends[ids[ends] != PAUSE]
    return ids[ends], ends


def label(text: str, frames: str):
    """The letters allowed at each frame and after the last, "." for the end; and the targets."""
    words = text.split()
    word_indices = np.repeat(np.arange(len(words)), [len(word) for word in words])
    targets = expert_targets(to_ids("".join(words)), word_indices, to_ids(frames),
                             *recognize(frames), PHONE_PROBS)
    allowed = []
    for row in targets.phones:
        letters = ["." if n == STOP else LETTERS[n] for n in row if n != NO_PHONE]
        allowed.append("".join(letters))
    return allowed, targets


durations = st.lists(st.integers(1, MAX_PHONE_FRAMES), min_size=4, max_size=4)
word = st.tuples(st.permutations("abcdefgh"), st.integers(1, 4), durations)


@given(st.lists(word, min_size=1, max_size=3), st.integers(0, 3))
def test_correct_speech_is_allowed(words, pause):
    text = []
    frames = ""
    ends = []
    for letters, size, lengths in words:
        text.append("".join(letters[:size]))
        for letter, length in zip(letters[:size], lengths, strict=False):
            frames += letter * length
        ends.append(len(frames))
        frames += "_" * pause
    if not pause and any(a[-1] == b[0] for a, b in itertools.pairwise(text)):
        return                                  # two equal phones in a row are recognized as one
    allowed, targets = label(" ".join(text), frames)
    assert targets.phone_errors == 0
    assert all(letter in choice for letter, choice in zip(frames, allowed, strict=False))
    assert allowed[-1] == "."
    assert targets.word_ends.tolist() == ends


@pytest.mark.parametrize("text, frames, frame, expected", [
    ("ab cd ef", "aabbeeff", 3, "c"),           # an omitted word, after the one before it
    ("ab cd", "aab", 3, "c"),                   # an early end
    ("abcd", "aahhccdd", 2, "b"),               # a wrong phone
    ("ab", "aabb" + "_" * (MAX_PHONE_FRAMES + 5), -2, "."),             # silence does not end
    ("ab", "aabb" + "cdefghcdefgh", -2, "."),                           # babble behind the end
    ("ab", "a" * (MAX_PHONE_FRAMES + 5) + "bb", MAX_PHONE_FRAMES + 2, "b"),     # a long phone
])
def test_targets_at_errors(text, frames, frame, expected):
    allowed, _ = label(text, frames)
    assert expected in allowed[frame]
    assert [*frames, "."][frame] not in allowed[frame]


def test_empty_speech():
    allowed, targets = label("ab cd", "")
    assert allowed == ["a"]
    assert targets.phone_errors == 4
    assert targets.word_ends.tolist() == [0, 0]
