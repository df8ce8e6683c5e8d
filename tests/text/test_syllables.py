"""Syllables of words from a dictionary, and of texts."""

import pytest

from sparktts_ms.text.syllables import count_syllables

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
