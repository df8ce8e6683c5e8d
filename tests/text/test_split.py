"""Long texts: where they are cut, and that nothing of them is lost."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.text.split import MAX_SYLLABLES, estimate_syllables, split_sentences, split_text


@pytest.mark.parametrize("paragraph, expected", [
    ("One. Two! Three?", ["One.", "Two!", "Three?"]),
    ("It costs 3.14 dollars. See example.com for more.", ["It costs 3.14 dollars.", "See example.com for more."]),
    ("Mr. Smith met Dr. J. R. Brown, e.g. on Monday. They left.",
     ["Mr. Smith met Dr. J. R. Brown, e.g. on Monday.", "They left."]),
    ('He said "Stop!" Then he left.', ['He said "Stop!"', "Then he left."]),
    ("Wait... what?! No.", ["Wait...", "what?!", "No."]),
    ("今天很好。你说什么？“走吧！”她笑了……然后离开", ["今天很好。", "你说什么？", "“走吧！”", "她笑了……", "然后离开"]),
    ("So did I. We left.", ["So did I.", "We left."]),
    ("版本 2.5 发布了。Version 3 follows.", ["版本 2.5 发布了。", "Version 3 follows."]),
    ("This is etc.", ["This is etc."]), ("", []), ("...", ["..."])])
def test_sentences(paragraph, expected):
    assert split_sentences(paragraph) == expected


def test_short_sentences_join_and_paragraphs_do_not():
    found = split_text("Yes. No. This is a sentence of quite a few words, which stands alone.\n\n"
                  "A second paragraph of some length here.")
    assert [part.text for part in found] == ["Yes. No. This is a sentence of quite a few words, which stands alone.",
                                             "A second paragraph of some length here."]
    assert found[0].pause > 0.4 and found[-1].pause == 0


def test_a_long_sentence_is_cut_at_its_pauses():
    sentence = "，".join(["这是一个很长的句子里的一部分"] * 20) + "。"
    found = split_text(sentence)
    assert len(found) > 2 and all(estimate_syllables(part.text) <= MAX_SYLLABLES for part in found)
    assert all(part.text.endswith(("，", "。")) for part in found)
    words = split_text("word " * 400)
    assert all(estimate_syllables(part.text) <= MAX_SYLLABLES and part.text.split() == ["word"] * len(part.text.split()) for part in words)


def test_numbers_are_not_cut_at_their_comma():
    assert all("1,234,567" in part.text or "1" not in part.text for part in split_text("it has 1,234,567 grains, " * 30))


ANY = st.text(st.one_of(st.sampled_from("ab .,!?。，！？“”\"'\n3天地…;:-)"), st.characters(codec="utf-8")), max_size=400)


@given(ANY, st.floats(10, 100))
def test_nothing_is_lost_and_nothing_is_too_long(text, longest):
    found = split_text(text, longest)
    assert re.sub(r"\s", "", "".join(part.text for part in found)) == re.sub(r"\s", "", text)
    for part in found:
        assert part.text == part.text.strip() and part.text
        assert estimate_syllables(part.text) <= longest or len(part.text) == 1


def test_ten_thousand_characters_take_no_time():
    assert len(split_text("天" * 10000)) >= 10000 // MAX_SYLLABLES
    assert len(split_text("A sentence of some words. " * 400)) > 50
