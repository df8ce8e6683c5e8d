"""Corruption by jumps: segments continue from another position after the same token."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recipes.demo_voice.lm.jump_corruption import CORRUPTION_RATE, corrupt_with_jumps

TEXT_ID = 1000
NUM_CODES = 12          # ids below are speech


def make_rows(rng: np.random.Generator, count: int, length: int, num_codes: int = NUM_CODES):
    """Rows of a prompt, speech, and padding; and where speech is."""
    ids = rng.integers(num_codes, size=(count, length))
    begin = length // 4
    end = length - length // 8
    ids[:, :begin] = TEXT_ID
    ids[:, end:] = 0
    positions = np.arange(length)
    is_speech = (positions >= begin) & (positions < end)
    return ids, np.broadcast_to(is_speech, ids.shape)


@given(st.integers(0, 2**32), st.integers(8, 200))
def test_only_speech_is_corrupted(seed, length):
    rng = np.random.default_rng(seed)
    ids, is_speech = make_rows(rng, 3, length)
    before = ids.copy()
    corrupted = corrupt_with_jumps(ids, is_speech, rng)
    assert (ids == before).all()
    assert (corrupted[~is_speech] == ids[~is_speech]).all()
    assert (corrupted[is_speech] < NUM_CODES).all()


def test_jump_follows_same_token():
    """The first token of a segment follows the one before it somewhere in the row; few pairs do."""
    follows = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        ids, is_speech = make_rows(rng, 1, 160, num_codes=60)
        corrupted = corrupt_with_jumps(ids, is_speech, rng)[0]
        speech = ids[0][is_speech[0]].tolist()
        pairs = set(itertools.pairwise(speech))
        changed = (corrupted != ids[0]) & is_speech[0]
        for n in np.flatnonzero(changed[1:] & ~changed[:-1]) + 1:
            follows.append((corrupted[n - 1], corrupted[n]) in pairs)
    assert len(follows) > 50
    assert np.mean(follows) > 0.9


def test_corruption_rate():
    rng = np.random.default_rng(0)
    ids, is_speech = make_rows(rng, 400, 320)
    changed = corrupt_with_jumps(ids, is_speech, rng)[is_speech] != ids[is_speech]
    rate = changed.mean() * NUM_CODES / (NUM_CODES - 1)
    assert 0.6 * CORRUPTION_RATE < rate < 1.1 * CORRUPTION_RATE
