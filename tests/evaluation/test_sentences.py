"""The sentence grammar and its splits."""

from itertools import islice

import pytest

from evaluation.sentences import (
    common_word_rows,
    held_out,
    phrases,
    sentences,
    spoken_number,
    spoken_year,
)


def test_sentences_are_well_formed_distinct_and_repeatable():
    pairs = list(islice(sentences(3), 2000))
    assert pairs == list(islice(sentences(3), 2000))
    assert len({written for written, _ in pairs}) == len(pairs)
    for written, spoken in pairs:
        sentence = not set("{}|_") & set(written) and written[-1] in ".?!" and written[0].isupper()
        assert sentence or written[0].isdigit()
        assert spoken == spoken.lower() and all(c.isalpha() or c in " '" for c in spoken)
        assert len(spoken.split()) <= 14 and "  " not in written


def test_splits_are_disjoint():
    train = {written for written, _ in islice(sentences(1), 3000)}
    evaluation = {written for written, _ in islice(sentences(2, evaluation=True), 300)}
    assert not train & evaluation and all(map(held_out, evaluation))
    pytest.importorskip("pocketsphinx")
    assert not any(held_out(written) for written, _ in islice(common_word_rows(1), 300))


@pytest.mark.parametrize("number, spoken", [
    (7, "seven"), (13, "thirteen"), (40, "forty"), (99, "ninety nine"), (100, "one hundred"),
    (540, "five hundred forty")])
def test_spoken_number(number, spoken):
    assert spoken_number(number) == spoken


@pytest.mark.parametrize("year, spoken", [
    (1984, "nineteen eighty four"), (1905, "nineteen oh five"), (1800, "eighteen hundred")])
def test_spoken_year(year, spoken):
    assert spoken_year(year) == spoken


def test_phrases_use_words_of_the_grammar():
    known = set()
    for _, spoken in islice(sentences(1), 6000):
        known.update(spoken.split())
    for written, spoken in islice(phrases(1), 500):
        assert 1 <= len(spoken.split()) <= 9 and not set("{}|_") & set(written)
        # the rarest words do not occur in every few thousand sentences
        assert len(set(spoken.split()) - known) <= 2
