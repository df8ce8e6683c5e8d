"""End times of words, from phones."""

import evaluation.forced_alignment as forced_alignment

PHONES = {"a": ("ey",), "cat": ("k", "ae", "t"), "eighty": ("ey", "t", "iy"), "two": ("t", "uw")}


def test_word_ends(monkeypatch):
    monkeypatch.setattr(forced_alignment, "word_phones", PHONES.__getitem__)
    word_ends = forced_alignment.word_ends
    # the t of "cat" is missing, that of "eighty" is a flap
    phones = [("pau", 0.1), ("ax", 0.2), ("k", 0.3), ("ae", 0.5), ("pau", 0.6), ("ey", 0.7),
              ("dx", 0.8), ("iy", 0.9), ("t", 1.0), ("uw", 1.2), ("pau", 1.3)]
    spoken = "a cat eighty two"
    assert word_ends("A cat, 82!", spoken, phones) == [0.2, 0.5, 1.2]
    assert word_ends("A cat eighty two.", spoken, phones) == [0.2, 0.5, 0.9, 1.2]
    assert word_ends("A dog eighty two.", spoken, phones) is None
