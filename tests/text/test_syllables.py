"""Syllables of words from a dictionary, and of texts."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.text.syllables import SyllableCounts, count_syllables

SYLLABLES = {
    "cat": 1, "table": 2, "the": 1, "make": 1, "makes": 1, "wanted": 2, "walked": 1, "houses": 2,
    "banana": 3, "yesterday": 3, "beautiful": 3, "free": 1, "don't": 1, "elephant": 3, "watches": 2,
    "I": 1}


@pytest.mark.parametrize("word", SYLLABLES)
def test_count_syllables_of_words(word):
    assert count_syllables(word) == SYLLABLES[word]


def test_count_syllables_of_texts():
    assert count_syllables("今天天气很好。") == 6
    assert count_syllables("The cat, the cat!") == 4
    assert count_syllables("你好 hello") == 4
    assert count_syllables("") == 0
    assert count_syllables("...") == 0


@given(st.lists(st.sampled_from(["Don't", "天地", "x1y", "12", " ", ",", "yes", "ー", "é"])))
def test_counts_of_parts_equal_counts_of_their_text(parts):
    text = ""
    ends = [0]
    for part in parts:
        text += part + "。"
        ends.append(len(text))
    counts = SyllableCounts(text)
    for begin, end in itertools.combinations(ends, 2):
        count = count_syllables(text[begin:end])
        if count and "é" not in text[begin:end]:
            assert counts.estimate(begin, end) == max(count, (end - begin) / 20)
        assert counts.estimate(begin, end) == SyllableCounts(text[begin:end]).estimate(
            0, end - begin)


def test_a_part_of_a_word_is_counted_by_itself():
    counts = SyllableCounts("wonderful")
    assert [counts.estimate(0, 3), counts.estimate(3, 9), counts.estimate(0, 9)] == [1, 2, 3]
