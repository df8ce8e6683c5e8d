"""Numbers in Chinese words. Expected values are from textbooks, as the rules of 零 and 两 are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.text.numbers_zh import read_cardinal, read_count, read_digits, read_ordinal

DIGITS = {name: value for value, name in enumerate("零一二三四五六七八九")} | {"两": 2}
UNITS = {"十": 10, "百": 100, "千": 1000}


def value(spoken):
    """What a cardinal number in Chinese means."""
    for name, size in (("亿", 10 ** 8), ("万", 10 ** 4)):
        high, found, low = spoken.rpartition(name)
        if found:
            return value(high) * size + value(low)
    total = digit = 0
    for character in spoken:
        if character in UNITS:
            total += (digit or 1) * UNITS[character]
            digit = 0
        else:
            digit = DIGITS[character]
    return total + digit


@pytest.mark.parametrize("number, spoken", [
    ("0", "零"), ("2", "二"), ("10", "十"), ("11", "十一"), ("20", "二十"), ("101", "一百零一"),
    ("110", "一百一十"), ("200", "两百"), ("222", "两百二十二"), ("1005", "一千零五"),
    ("1050", "一千零五十"), ("2000", "两千"), ("10000", "一万"), ("12000", "一万二千"),
    ("20002", "两万零二"), ("100010", "十万零一十"), ("110000", "十一万"), ("2000000", "两百万"),
    ("10203040", "一千零二十万三千零四十"), ("100000000", "一亿"), ("120000000", "一亿二千万"),
    ("1000000000000", "一万亿"), ("1,234.50", "一千二百三十四点五零"), (".5", "零点五"),
    ("007", "零零七"), ("12345678901234567", "一二三四五六七八九零一二三四五六七")])
def test_read_cardinal(number, spoken):
    assert read_cardinal(number) == spoken


@given(st.integers(0, 10 ** 16 - 1))
def test_cardinals_mean_their_number(number):
    spoken = read_cardinal(str(number))
    assert value(spoken) == number
    assert "零零" not in spoken and (number == 0 or not spoken.endswith("零"))


def test_two():
    assert [read_count("2"), read_count("12"), read_count("20")] == ["两", "十二", "二十"]
    assert [read_ordinal("2"), read_ordinal("200")] == ["二", "二百"]


def test_digits():
    assert read_digits("1208") == "一二零八"
    assert read_digits("1-10 a", "幺") == "幺幺零a"
