"""What the recipe's drill reads beside what should have been said: speech that goes on elsewhere after the same token."""


import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recipes.demo_voice.lm.corrupt import SHARE, strayed

TEXT, CODES = 1000, 12      # ids below are speech


def rows(random: np.random.Generator, count: int, length: int, codes: int = CODES) -> tuple[np.ndarray, np.ndarray]:
    """A prompt of other ids, then speech, then nothing."""
    ids = random.integers(codes, size=(count, length))
    begin, end = length // 4, length - length // 8
    ids[:, :begin], ids[:, end:] = TEXT, 0
    return ids, np.broadcast_to((np.arange(length) >= begin) & (np.arange(length) < end), ids.shape)


@given(st.integers(0, 2**32), st.integers(8, 200))
def test_only_speech_goes_astray_and_into_speech(seed, length):
    random = np.random.default_rng(seed)
    ids, speech = rows(random, 3, length)
    before = ids.copy()
    made = strayed(ids, speech, random)
    assert (ids == before).all() and (made[~speech] == ids[~speech]).all() and (made[speech] < CODES).all()


def test_it_goes_on_elsewhere_after_the_same_token():
    """Where a stretch begins, its first token follows the one before it somewhere in the row; of random pairs few do."""
    follow = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        ids, speech = rows(random, 1, 160, codes=60)
        made, phone_positions = strayed(ids, speech, random)[0], np.flatnonzero(speech[0])
        wrong = (made != ids[0]) & speech[0]
        pairs = set(zip(ids[0][phone_positions[:-1]].tolist(), ids[0][phone_positions[1:]].tolist(), strict=True))
        follow += [(made[n - 1], made[n]) in pairs for n in np.flatnonzero(wrong[1:] & ~wrong[:-1]) + 1]
    assert len(follow) > 50 and np.mean(follow) > 0.9


def test_about_the_share_goes_astray():
    random = np.random.default_rng(0)
    ids, speech = rows(random, 400, 320)
    wrong = strayed(ids, speech, random)[speech] != ids[speech]
    assert 0.6 * SHARE < wrong.mean() * CODES / (CODES - 1) < 1.1 * SHARE
