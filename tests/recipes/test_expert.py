"""What the recipe's practice teaches: which phone was due at each frame of speech that went wrong. Phones are letters here; the
id of a frame is the number of its letter, and the last one a pause."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.demo_voice.lm.expert import LONG, NONE, STOP, corrected

LETTERS = "abcdefgh_"
TABLE = (np.eye(len(LETTERS)) * 0.99 + 0.001).astype(np.float32)


def numbers(letters: str) -> np.ndarray:
    return np.array([LETTERS.index(letter) for letter in letters], int)


def heard(frames: str) -> tuple[np.ndarray, np.ndarray]:
    """Each letter once, and where it is over."""
    ids = numbers(frames)
    last = np.flatnonzero(np.append(ids[1:] != ids[:-1], True)) if len(ids) else np.zeros(0, int)
    last = last[ids[last] != len(LETTERS) - 1]
    return ids[last], last


def due(text: str, frames: str):
    """For each frame, and after them, what may come; "." for the end."""
    words = text.split()
    found = corrected(numbers("".join(words)), np.repeat(np.arange(len(words)), [len(word) for word in words]), numbers(frames),
                      *heard(frames), TABLE)
    return ["".join("." if n == STOP else LETTERS[n] for n in row if n != NONE) for row in found.due], found


@given(st.lists(st.tuples(st.permutations("abcdefgh"), st.integers(1, 4), st.lists(st.integers(1, LONG), min_size=4, max_size=4)),
                min_size=1, max_size=3), st.integers(0, 3))
def test_nothing_is_wrong_with_what_is_said_rightly(words, pause):
    text, frames, ends = [], "", []
    for letters, size, lengths in words:
        text.append("".join(letters[:size]))
        frames += "".join(letter * length for letter, length in zip(letters[:size], lengths, strict=False))
        ends.append(len(frames))
        frames += "_" * pause
    if any(a[-1] == b[0] for a, b in itertools.pairwise(text)) and not pause:
        return                                  # two that are alike are heard as one
    may, found = due(" ".join(text), frames)
    assert found.wrong == 0
    assert all(letter in choice for letter, choice in zip(frames, may, strict=False)) and may[-1] == "."
    assert found.ends.tolist() == ends


@pytest.mark.parametrize("text, frames, place, wanted", [
    ("ab cd ef", "aabbeeff", 3, "c"),           # a word was left out: it was due after the one before it
    ("ab cd", "aab", 3, "c"),                   # the end came too soon
    ("abcd", "aahhccdd", 2, "b"),               # the wrong phone
    ("ab", "aabb" + "_" * (LONG + 5), -2, "."),         # silence that does not end
    ("ab", "aabb" + "cdefghcdefgh", -2, "."),           # babble behind the end
    ("ab", "a" * (LONG + 5) + "bb", LONG + 2, "b"),     # a phone that does not end
])
def test_what_was_due_where_speech_went_wrong(text, frames, place, wanted):
    may, _ = due(text, frames)
    assert wanted in may[place] and [*frames, "."][place] not in may[place]


def test_nothing_said_at_all():
    may, found = due("ab cd", "")
    assert may == ["a"] and found.wrong == 4 and found.ends.tolist() == [0, 0]
