"""The judges themselves: sentences, word errors, voices."""

from itertools import islice

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from evaluation.alignment import alignment
from evaluation.asr import error_rate, word_errors
from evaluation.metrics import Voices, centre, gender_by_pitch, intelligibility, mel_distance, pitch_off
from evaluation.sentences import held_out, phrases, sentences, spoken_number, spoken_year, wide_sentences
from sparktts_ms.generation.attributes import PITCH_THRESHOLDS
from tests.helpers import ROOT

words = st.lists(st.sampled_from(["a", "b", "c"]), max_size=8).map(" ".join)


@pytest.mark.parametrize("expected, heard, errors", [
    ("a b c", "a b c", 0), ("a b c", "a x c", 1), ("a b c", "a c", 1), ("a b", "a x b", 1), ("", "a b", 2), ("a b", "", 2),
    ("the cat sat", "cat sat down", 2)])
def test_word_errors(expected, heard, errors):
    assert word_errors(expected, heard) == errors


@given(words, words, words)
def test_word_errors_are_a_distance(a, b, c):
    assert word_errors(a, b) == word_errors(b, a)
    assert (word_errors(a, b) == 0) == (a == b)
    assert word_errors(a, c) <= word_errors(a, b) + word_errors(b, c)


@given(st.text("abcd", max_size=9), st.text("abcd", max_size=9))
def test_two_sequences_are_laid_side_by_side_in_the_fewest_edits(heard, wanted):
    pairs = alignment(np.array([[a != b for b in wanted] for a in heard], int).reshape(len(heard), len(wanted)))
    assert [i for i, _ in pairs if i is not None] == list(range(len(heard)))
    assert [j for _, j in pairs if j is not None] == list(range(len(wanted)))
    wrong = sum(i is None or j is None or heard[i] != wanted[j] for i, j in pairs)
    assert wrong == word_errors(" ".join(wanted), " ".join(heard))


def test_the_rate_counts_words_not_utterances():
    assert error_rate(["a b c d e f g h i", "j"], ["a b c d e f g h i", "x"]) == pytest.approx(0.1)


def test_sentences_are_whole_distinct_and_repeatable():
    made = list(islice(sentences(3), 2000))
    assert made == list(islice(sentences(3), 2000)) and len({written for written, _ in made}) == len(made)
    for written, spoken in made:
        assert (not set("{}|_") & set(written) and written[-1] in ".?!" and written[0].isupper()) or written[0].isdigit()
        assert spoken == spoken.lower() and all(c.isalpha() or c in " '" for c in spoken)
        assert len(spoken.split()) <= 14 and "  " not in written


def test_no_sentence_is_in_both_parts():
    train = {written for written, _ in islice(sentences(1), 3000)}
    judged = {written for written, _ in islice(sentences(2, evaluation=True), 300)}
    assert not train & judged and all(map(held_out, judged))
    pytest.importorskip("pocketsphinx")
    assert not any(held_out(written) for written, _ in islice(wide_sentences(1), 300))


@pytest.mark.parametrize("number, spoken", [(7, "seven"), (13, "thirteen"), (40, "forty"), (99, "ninety nine"),
                                            (100, "one hundred"), (540, "five hundred forty")])
def test_numbers(number, spoken):
    assert spoken_number(number) == spoken


def test_phrases_are_pieces_of_the_grammar():
    known = {word for _, spoken in islice(sentences(1), 6000) for word in spoken.split()}
    for written, spoken in islice(phrases(1), 500):
        assert 1 <= len(spoken.split()) <= 9 and not set("{}|_") & set(written)
        assert len(set(spoken.split()) - known) <= 2        # the rarest words are not in every few thousand sentences


def test_word_ends_are_where_the_phones_of_the_words_end(monkeypatch):
    import evaluation.aligner as aligner
    alone = {"a": ("ey",), "cat": ("k", "ae", "t"), "eighty": ("ey", "t", "iy"), "two": ("t", "uw")}
    monkeypatch.setattr(aligner, "word_phones", alone.__getitem__)
    phones = [("pau", 0.1), ("ax", 0.2), ("k", 0.3), ("ae", 0.5), ("pau", 0.6), ("ey", 0.7), ("dx", 0.8), ("iy", 0.9), ("t", 1.0),
              ("uw", 1.2), ("pau", 1.3)]                    # a t is swallowed, another is flapped
    assert aligner.word_ends("A cat, 82!", "a cat eighty two", phones) == [0.2, 0.5, 1.2]
    assert aligner.word_ends("A cat eighty two.", "a cat eighty two", phones) == [0.2, 0.5, 0.9, 1.2]
    assert aligner.word_ends("A dog eighty two.", "a cat eighty two", phones) is None


def test_numbers_are_written_out_as_they_are_spoken_or_not_at_all(monkeypatch):
    import evaluation.aligner as aligner
    from evaluation.flite_tts import written
    monkeypatch.setattr(aligner, "word_phones", lambda word: (word,))
    for text, spoken, out in (("A cat, 82.", "a cat eighty two", "A cat, eighty two."),
                              ("120 cats", "one hundred twenty cats", "120 cats")):         # not "one hundred and twenty"
        phones = [(word, n + 1.0) for n, word in enumerate(spoken.split())]
        job = {"audio": "a.wav", "text": text, "spoken": spoken}
        assert written(job, phones, False)["text"] == text
        line = written(job, phones, True)
        assert line == job | {"text": out, "word_ends": line["word_ends"], "phones": phones}
        assert len(line["word_ends"]) == len(out.split()) and line["word_ends"][-1] == len(phones)


@pytest.mark.parametrize("year, spoken", [(1984, "nineteen eighty four"), (1905, "nineteen oh five"), (1800, "eighteen hundred")])
def test_years(year, spoken):
    assert spoken_year(year) == spoken


def conditioned(seed, tilt):
    """Noise whose spectrum falls by `tilt`."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(16000))
    return 0.1 * np.fft.irfft(spectrum / np.arange(1, len(spectrum) + 1) ** tilt * 50**tilt)


def test_the_nearest_voice():
    known = Voices({name: [conditioned(n, tilt) for n in range(3)] for name, tilt in (("bright", 0.1), ("dark", 1.0))})
    assert known.nearest(conditioned(9, 0.2)) == "bright" and known.nearest(conditioned(9, 0.9)) == "dark"
    assert known.nearest(0.1 * conditioned(9, 0.9)) == "dark"          # the level does not matter


def test_noise_takes_intelligibility_away():
    x, _ = soundfile.read(next((ROOT / "tests" / "speech" / "recordings").glob("*.flac")))
    noise = np.random.default_rng(0).standard_normal(len(x)) * x.std()
    assert intelligibility(x, x) == pytest.approx(1, abs=1e-6)
    assert 0.95 > intelligibility(x + 0.5 * noise, x) > intelligibility(x + 2 * noise, x) + 0.1 > 0.1


def test_the_mel_distance_is_in_decibels():
    x = conditioned(1, 0.5)
    assert mel_distance(x, x) == 0
    assert mel_distance(2 * x, x) == pytest.approx(20 * np.log10(2), abs=1e-3)


def test_gender_by_pitch():
    for gender in PITCH_THRESHOLDS:
        for label in range(5):
            assert gender_by_pitch(centre(gender, label), label) == gender
    assert gender_by_pitch(150, 0) == "female" and gender_by_pitch(150, 3) == "male"


def test_pitch_off_is_a_share():
    def tone(hertz):
        return np.sin(2 * np.pi * hertz * np.arange(16000) / 16000)
    assert pitch_off(tone(110), tone(100)) == pytest.approx(0.1, abs=1e-3) == pitch_off(tone(90), tone(100))
