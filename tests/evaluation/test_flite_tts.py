"""The corpus manifest."""

import pytest

import evaluation.forced_alignment as forced_alignment
from evaluation.flite_tts import manifest_line


@pytest.mark.parametrize("text, spoken, normalized", [
    ("A cat, 82.", "a cat eighty two", "A cat, eighty two."),
    ("120 cats", "one hundred twenty cats", "120 cats"),    # not "one hundred and twenty"
])
def test_manifest_line_writes_numbers_out_as_spoken(monkeypatch, text, spoken, normalized):
    monkeypatch.setattr(forced_alignment, "word_phones", lambda word: (word,))
    phones = [(word, n + 1.0) for n, word in enumerate(spoken.split())]
    recording = {"audio": "a.wav", "text": text, "spoken": spoken}
    assert manifest_line(recording, phones, False)["text"] == text
    line = manifest_line(recording, phones, True)
    ends = line["word_ends"]
    assert line == recording | {"text": normalized, "word_ends": ends, "phones": phones}
    assert len(ends) == len(normalized.split()) and ends[-1] == len(phones)
