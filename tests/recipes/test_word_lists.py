"""Word lists: their words, phones and frequencies."""

import re
from collections import Counter

import numpy as np
import pytest

from recipes.demo_voice.lm.dataset import AlignedRecording
from recipes.demo_voice.lm.guided_attention import text_tokens
from recipes.demo_voice.lm.phone_targets import phone_inventory, pronunciation_targets
from recipes.demo_voice.lm.word_lists import WordLists
from sparktts_ms.errors import InputError
from tests.helpers import PRONUNCIATIONS, spoken_words

RECORDINGS = [spoken_words(text) for text in ("tip toe", "toe through.", "tip toe toe", "through.")]


def test_word_lists_hold_words_with_their_phones(vocabulary):
    names = phone_inventory(RECORDINGS)
    batch = WordLists(vocabulary, RECORDINGS, 800, 3).batch(5)
    assert batch.ids.shape == (4, 192)
    assert not batch.loss_mask.any()
    targets = pronunciation_targets(batch, names, vocabulary).reshape(4, 192, -1)
    for row in range(4):
        _, tokens = text_tokens(batch.ids[row], vocabulary)
        words = re.split(r"[\u0120 ]", "".join(tokens))
        known = targets[row][(targets[row] >= 0).any(1)]
        spelled = [" ".join(names[n] for n in word if n) for word in known]
        assert spelled == [PRONUNCIATIONS[word] for word in words]
        assert len(words) > 20


def test_rare_words_are_oversampled(vocabulary):
    recordings = [spoken_words("toe")] * 99 + [spoken_words("tip")]
    word_lists = WordLists(vocabulary, recordings, 2000, 0)
    counts = Counter()
    for n in range(20):
        for example in word_lists.batch(n).examples:
            counts.update(example.pronunciation)
    assert 0.05 < counts["t", "ih", "p"] / counts.total() < 0.15        # 1 : sqrt(99)


def test_word_lists_follow_from_seed_and_number(vocabulary):
    one, same, other = [WordLists(vocabulary, RECORDINGS, 400, seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(one.batch(7).ids, same.batch(7).ids)
    assert (one.batch(7).ids != one.batch(8).ids).any()
    assert (one.batch(7).ids != other.batch(7).ids).any()


def test_word_lists_need_alignments(vocabulary):
    recording = AlignedRecording("tip", None, None, [], [], 0.0, 1.0)
    with pytest.raises(InputError, match="word_ends and phones"):
        WordLists(vocabulary, [recording], 400, 0)
