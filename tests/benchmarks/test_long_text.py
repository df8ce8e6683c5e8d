"""The long text, its length, and when its memory counts as flat."""

import pytest

from benchmarks.long_text import growth_line, memory_growth, segment_tokens, speech_text


@pytest.mark.parametrize("characters", [1, 1000, 20000])
def test_whole_paragraphs_of_at_least_so_many_characters(characters):
    text = speech_text(characters)
    assert characters <= len(text) < characters + 600
    assert text.endswith((".", "!", "?"))


def test_tokens_of_a_segment_are_those_of_its_share_of_the_words():
    assert segment_tokens("one two three four five six", 2) == 45


def test_growth_compares_the_peaks_of_the_outer_thirds():
    assert memory_growth([100, 90, 500, 80, 101, 99]) == pytest.approx(0.01)
    assert memory_growth([100, 100, 150]) == pytest.approx(0.5)
    assert memory_growth([1, 2]) is None


def test_what_is_said_of_it():
    assert "flat (+2.0%" in growth_line("ours int4", 0.02)
    assert "grows (+2.1%" in growth_line("ours int4", 0.021)
    assert "too few" in growth_line("ours int4", None)
