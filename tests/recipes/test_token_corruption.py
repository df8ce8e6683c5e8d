"""Corruption of input speech tokens."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recipes.demo_voice.lm.token_corruption import corrupt_tokens


@given(st.integers(0, 200), st.integers(0, 99), st.floats(0, 0.5))
def test_corrupted_tokens_come_from_the_same_utterance(length, seed, rate):
    random = np.random.default_rng(seed)
    ids = random.integers(0, 1000, (3, 220))
    is_speech = np.zeros((3, 220), bool)
    is_speech[0, 10:10 + length] = True
    is_speech[1, 5:200] = True
    before = ids.copy()
    corrupted = corrupt_tokens(ids, is_speech, rate, np.random.default_rng(seed))
    np.testing.assert_array_equal(ids, before)
    np.testing.assert_array_equal(corrupted[~is_speech], ids[~is_speech])
    for row in range(3):
        assert set(corrupted[row, is_speech[row]]) <= set(ids[row, is_speech[row]])
    again = corrupt_tokens(ids, is_speech, rate, np.random.default_rng(seed))
    np.testing.assert_array_equal(again, corrupted)


def test_corruption_rate():
    ids = np.arange(400_000).reshape(100, 4000)
    is_speech = np.ones((100, 4000), bool)
    for rate in (0.1, 0.3):
        corrupted = corrupt_tokens(ids, is_speech, rate, np.random.default_rng(0))
        assert 0.75 * rate < (corrupted != ids).mean() <= rate      # spans overlap now and then
