"""Lines of a text: which of them go on, and how they are joined."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.text.paragraphs import split_paragraphs


@pytest.mark.parametrize("text, expected", [
    ("第一行没有完\n接着说完。", ["第一行没有完接着说完。"]),
    ("他说，\n明天见。", ["他说，明天见。"]),
    ("他来了——\n走了。", ["他来了——走了。"]),
    ("我用 iPhone\n打电话。", ["我用 iPhone 打电话。"]),
    ("我喜欢你，\nhello。", ["我喜欢你，hello。"]),
    ("The first line\ngoes on here.", ["The first line goes on here."]),
    ("The first line \r\n  goes on here.\r\n", ["The first line goes on here."]),
    ("a well-\nknown place", ["a well-known place"]),
    ("from 3 -\n4", ["from 3 - 4"]),
    ("사람은\n말한다", ["사람은 말한다"]),              # Korean has spaces between words
    ("日本語の\n文です。", ["日本語の文です。"]),
    ("He met Mr.\nSmith and J.\nR. Brown.", ["He met Mr. Smith and J. R. Brown."]),
    ("It costs 3.\n14 dollars", ["It costs 3.", "14 dollars"])])
def test_a_line_goes_on_until_its_sentence_ends(text, expected):
    assert split_paragraphs(text) == expected


@pytest.mark.parametrize("text, expected", [
    ("One.\nTwo!\nThree?", ["One.", "Two!", "Three?"]),
    ('He said "Stop!"\nThen he left.', ['He said "Stop!"', "Then he left."]),
    ("“走吧！”\n她笑了", ["“走吧！”", "她笑了"]),
    ("A title\n\nThe text", ["A title", "The text"]),
    ("A title\n \u3000\t\nThe text", ["A title", "The text"]),
    ("To buy:\n- apples\n- pears and\n  plums", ["To buy:", "- apples", "- pears and plums"]),
    ("1. Go\n2) Stop\n(3) Rest", ["1. Go", "2) Stop", "(3) Rest"]),
    ("一、苹果\n二、梨\n①桃", ["一、苹果", "二、梨", "①桃"]),
    ("# A heading\nIts text\ngoes on", ["# A heading", "Its text goes on"]),
    ("Chapter 1\nIt was dark", ["Chapter 1", "It was dark"]),
    ("PART II: The road\nIt was long", ["PART II: The road", "It was long"]),
    ("第一章 风雪\n话说天下", ["第一章 风雪", "话说天下"]),
    ("第一回去那里\n很高兴", ["第一回去那里很高兴"]),
    ("\u3000\u3000第一段\n\u3000\u3000第二段", ["第一段", "第二段"]),
    ("before\n-----\nafter", ["before", "-----", "after"]),
    ("1990 was\n1991. A year", ["1990 was 1991. A year"]),
    ("", []), (" \n\t\n", [])])
def test_a_paragraph_ends_with_a_sentence_an_empty_line_an_item_or_a_heading(text, expected):
    assert split_paragraphs(text) == expected


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\f", "\v", "\r"])
def test_other_line_separators_are_white_space(separator):
    assert split_paragraphs(f"It ends.{separator}It goes on") == ["It ends. It goes on"]
    assert split_paragraphs(f"没有完{separator}接着说") == ["没有完接着说"]
    assert split_paragraphs(f"One\n{separator}\nTwo") == ["One", "Two"]


@given(st.text(st.sampled_from("ab 1.,-\n\r\u2028。，天地“”#(）"), max_size=60))
def test_nothing_but_white_space_changes(text):
    paragraphs = split_paragraphs(text)
    assert re.sub(r"\s", "", "".join(paragraphs)) == re.sub(r"\s", "", text)
    for paragraph in paragraphs:
        assert paragraph == " ".join(paragraph.split()) != ""
        assert split_paragraphs(paragraph) == [paragraph]
