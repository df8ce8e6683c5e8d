"""Alignment of sequences and edit distance."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evaluation.alignment import alignment, edit_distance

sequences = st.text("abcd", max_size=9)


def dynamic_programming(one, other):
    """The edit distance by its textbook recurrence, one row at a time."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        diagonal = row[0]
        row[0] = i
        for j, b in enumerate(other, 1):
            best = min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
            diagonal = row[j]
            row[j] = best
    return row[-1]


@given(sequences, sequences)
def test_alignment_covers_both_sequences_with_fewest_edits(one, other):
    cost = np.zeros((len(one), len(other)), int)
    for i, a in enumerate(one):
        cost[i] = [a != b for b in other]
    pairs = alignment(cost)
    assert [i for i, _ in pairs if i is not None] == list(range(len(one)))
    assert [j for _, j in pairs if j is not None] == list(range(len(other)))
    errors = sum(i is None or j is None or one[i] != other[j] for i, j in pairs)
    assert errors == edit_distance(one, other) == dynamic_programming(one, other)


@given(sequences, sequences, sequences)
def test_edit_distance_is_a_metric(a, b, c):
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)
