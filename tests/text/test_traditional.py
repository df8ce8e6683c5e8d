"""Traditional Chinese."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.text.normalize import explain, normalize
from sparktts_ms.text.traditional import is_traditional, to_simplified, to_traditional


@pytest.mark.parametrize("text, traditional", [
    ("價格是3元", True), ("价格是3元", False), ("3人", False), ("", False), ("我們有2個", True),
    ("我们有2个", False), ("臺灣", True), ("台湾", False)])
def test_is_traditional(text, traditional):
    assert is_traditional(text) == traditional


@given(st.text(st.sampled_from("兩两點点個个號号后後里裡a1\U00100000")))
def test_conversion_is_undone(text):
    assert len(to_simplified(text)) == len(text)
    if is_traditional(text):
        assert to_traditional(to_simplified(text)) == text


@pytest.mark.parametrize("written, spoken", [
    ("下午2點30分", "下午兩點三十分"),
    ("這裡有2個人，共20000元", "這裡有兩個人，共兩萬元"),
    ("電話02-2345-6789", "電話零二二三四五六七八九"),
    ("氣溫-5℃，速度60km/h", "氣溫負五攝氏度，速度每小時六十公里"),
    ("價格是€30，占50%", "價格是三十歐元，占百分之五十"),
    ("90後，x≥3", "九零後，x大於等於三"),
    ("簡体点与2隻貓，他們說", "簡体点与兩隻貓，他們說"),
])
def test_words_are_traditional_in_a_traditional_text(written, spoken):
    assert normalize(written) == spoken


def test_steps_are_traditional():
    assert [(step.matched, step.spoken) for step in explain("下午2點30分")] == [
        ("2點", "兩點"), ("30", "三十")]
