"""Word errors and word error rate."""

import pytest

from evaluation.asr import word_error_rate, word_errors


@pytest.mark.parametrize("reference, hypothesis, errors", [
    ("a b c", "a b c", 0), ("a b c", "a x c", 1), ("a b c", "a c", 1), ("a b", "a x b", 1),
    ("", "a b", 2), ("a b", "", 2), ("the cat sat", "cat sat down", 2)])
def test_word_errors(reference, hypothesis, errors):
    assert word_errors(reference, hypothesis) == errors


def test_word_error_rate_is_weighted_by_words():
    rate = word_error_rate(["a b c d e f g h i", "j"], ["a b c d e f g h i", "x"])
    assert rate == pytest.approx(0.1)
