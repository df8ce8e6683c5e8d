"""Long texts: where they are cut, and that nothing of them is lost."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.text.split import MAX_SYLLABLES, estimate_syllables, split_sentences, split_text


@pytest.mark.parametrize("paragraph, expected", [
    ("One. Two! Three?", ["One.", "Two!", "Three?"]),
    ("It costs 3.14 dollars. See example.com for more.",
     ["It costs 3.14 dollars.", "See example.com for more."]),
    ("Mr. Smith met Dr. J. R. Brown, e.g. on Monday. They left.",
     ["Mr. Smith met Dr. J. R. Brown, e.g. on Monday.", "They left."]),
    ('He said "Stop!" Then he left.', ['He said "Stop!"', "Then he left."]),
    ("Wait... what?! No.", ["Wait...", "what?!", "No."]),
    ("今天很好。你说什么？“走吧！”她笑了……然后离开",
     ["今天很好。", "你说什么？", "“走吧！”", "她笑了……", "然后离开"]),
    ("So did I. We left.", ["So did I.", "We left."]),
    ("版本 2.5 发布了。Version 3 follows.", ["版本 2.5 发布了。", "Version 3 follows."]),
    ("This is etc.", ["This is etc."]),
    ("", []),
    ("...", ["..."])])
def test_split_sentences(paragraph, expected):
    assert split_sentences(paragraph) == expected


def test_short_sentences_are_merged_within_a_paragraph():
    first = "Yes. No. This is a sentence of quite a few words, which stands alone."
    second = "A second paragraph of some length here."
    segments = split_text(f"{first}\n\n{second}")
    assert [segment.text for segment in segments] == [first, second]
    assert segments[0].pause > 0.4
    assert segments[-1].pause == 0


def test_long_sentence_is_split_at_clauses():
    segments = split_text("，".join(["这是一个很长的句子里的一部分"] * 20) + "。")
    assert len(segments) > 2
    for segment in segments:
        assert estimate_syllables(segment.text) <= MAX_SYLLABLES
        assert segment.text.endswith(("，", "。"))


def test_long_sentence_without_clauses_is_split_at_words():
    for segment in split_text("word " * 400):
        assert estimate_syllables(segment.text) <= MAX_SYLLABLES
        assert set(segment.text.split()) == {"word"}


def test_numbers_are_not_split_at_commas():
    for segment in split_text("it has 1,234,567 grains, " * 30):
        assert "1,234,567" in segment.text or "1" not in segment.text


FREQUENT = st.sampled_from("ab .,!?。，！？“”\"'\n3天地…;:-)")
ANY = st.text(st.one_of(FREQUENT, st.characters(codec="utf-8")), max_size=400)


@given(ANY, st.floats(10, 100))
def test_segments_are_complete_and_short_enough(text, max_syllables):
    segments = split_text(text, max_syllables)
    joined = "".join(segment.text for segment in segments)
    assert re.sub(r"\s", "", joined) == re.sub(r"\s", "", text)
    for segment in segments:
        assert segment.text
        assert segment.text == segment.text.strip()
        assert estimate_syllables(segment.text) <= max_syllables or len(segment.text) == 1


def test_a_sentence_goes_on_in_the_next_line():
    segments = split_text("第一行没有完\n接着说完。\n新的一行从这里开始说话。")
    assert [segment.text for segment in segments] == ["第一行没有完接着说完。",
                                                      "新的一行从这里开始说话。"]
    assert segments[0].pause > 0.4


@pytest.mark.parametrize("text", ["b" * 20000, "привет world " * 1000, "天" + "！" * 20000,
                                  "a" + " !" * 9000, "ก" * 20000])
def test_what_has_no_syllables_is_split_by_length(text):
    assert max(len(segment.text) for segment in split_text(text)) <= 2000


@pytest.mark.parametrize("unit", ["Short one. ", "天", "天\n", "a.", "a ", "a !", "1", "b", "mr. ",
                                  "a,", "\"", "- a\n", " ", "привет a ", "第一"])
def test_time_is_linear(unit):
    def seconds(repeats):
        best = float("inf")
        for _ in range(3):
            began = time.perf_counter()
            split_text("a" + unit * repeats + "b")
            best = min(best, time.perf_counter() - began)
        return best

    assert seconds(32000 // len(unit)) < 16 * seconds(8000 // len(unit)) + 0.05     # 4 if linear


def test_split_ten_thousand_characters():
    assert len(split_text("天" * 10000)) >= 10000 // MAX_SYLLABLES
    assert len(split_text("A sentence of some words. " * 400)) > 50
