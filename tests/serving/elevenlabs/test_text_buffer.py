"""Where text that arrives in pieces is cut: by the text alone, and never within what is read as
one."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.serving.elevenlabs.text_buffer import TextBuffer
from sparktts_ms.text.split import MAX_SYLLABLES, estimate_syllables

FREQUENT = st.sampled_from("ab .,!?。，！？、：…—“”\"'\n 3天地I;:-)")
ANY = st.text(st.one_of(FREQUENT, st.characters(codec="utf-8")), max_size=300)
INSEPARABLE = (
    "3.14", "1,000,000", "10:30", "$5.00", "2.5%", "v1.2.3", "192.168.0.1", "Dr. Smith",
    "Mr. J. Brown", "U.S. Army", "5 p.m. today", "e.g. this", "No. 5", "Mt. Everest", "St. Paul",
    "https://example.com/?q=1,2", "example.com", "March 5, 2024", "don't", "well-known", "3,5万",
    "J. R. R. Tolkien", "approx. three", "Ph.D. thesis")


def clauses(*pieces):
    buffer = TextBuffer()
    found = [clause for piece in pieces for clause in buffer.add(piece)]
    return [*found, *buffer.flush()]


def texts(*pieces):
    return [clause.text for clause in clauses(*pieces)]


def without_space(text):
    return re.sub(r"\s", "", text)


@st.composite
def pieces_of(draw, text):
    ends = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[begin:end] for begin, end in zip([0, *ends], [*ends, len(text)], strict=True)]


@given(st.data())
def test_pieces_make_no_difference(data):
    text = data.draw(ANY)
    whole = clauses(text)
    assert clauses(*data.draw(pieces_of(text))) == whole
    assert clauses(*text) == whole


@given(ANY)
def test_clauses_are_the_text(text):
    joined = without_space("".join(texts(text)))
    expected = without_space(text)
    assert expected.startswith(joined)
    assert not any(character.isalnum() for character in expected[len(joined):])


@given(st.lists(st.sampled_from([*INSEPARABLE, "and then", "we went home", "he said"]), min_size=1),
       st.data())
def test_what_is_read_as_one_is_not_cut(parts, data):
    text = ""
    for part in parts:
        text += part + data.draw(st.sampled_from([" ", ", ", " so ", "; ", "? "]))
    for part in {part for part in parts if part in INSEPARABLE}:
        spoken = [clause.replace("\n", " ") for clause in texts(*data.draw(pieces_of(text)))]
        assert sum(clause.count(part) for clause in spoken) == text.count(part), part


@pytest.mark.parametrize("text, expected", [
    ("Hello there, this is a test. And another one.",
     ["Hello there,", "this is a test.", "And another one."]),
    ("Yes, I can help. No.", ["Yes, I can help.", "No."]),
    ('He said "Stop!" Then he left... Right?!', ['He said "Stop!"', "Then he left...", "Right?!"]),
    ("今天很好。你说什么？“走吧！”她笑了……", ["今天很好。", "你说什么？", "“走吧！”", "她笑了……"]),
    ("苹果、香蕉、梨，我都喜欢。", ["苹果、香蕉、", "梨，我都喜欢。"]),
    ("版本2.5发布了，价格是3,500元。好。", ["版本2.5发布了，", "价格是3,500元。", "好。"]),
    ("1. Start here now\n2. End there\n\nThat was all", ["1. Start here now", "2. End there",
                                                         "That was all"]),
    ("Chapter 1\nIt was a dark\nand stormy night.", ["Chapter 1",
                                                     "It was a dark\nand stormy night."]),
    ("It is 3. Then 4.5 more. It costs 5 dollars.", ["It is 3.", "Then 4.5 more.",
                                                     "It costs 5 dollars."]),
    ("Great! 👍🏽 Next.", ["Great!", "👍🏽 Next."]),
    ("So did I. We left.", ["So did I.", "We left."]),
    ("...", []), ("", []), (" \n ", []), ("👍", []),
])
def test_cuts(text, expected):
    assert texts(text) == texts(*text) == expected


@pytest.mark.parametrize("incomplete, rest", [
    ("Good morning everyone,", " w"), ("How are you?", " "), ("大家早上好，", "今"),
    ("你好吗？", "很"), ("It costs 3.50 today.", "\n"), ("It is 3. ", "T")])
def test_a_clause_is_complete_at_once(incomplete, rest):
    buffer = TextBuffer()
    assert buffer.add(incomplete) == []
    assert [clause.text for clause in buffer.add(rest)] == [incomplete.strip()]


@pytest.mark.parametrize("text, expected", [
    ("How are you?", True), ("I am here.", True), ("I am here. ", True), ("你好吗？", True),
    ("Good morning everyone, ", True), ("大家早上好，", True), ('"I am here."', True),
    ("It costs 3.", False), ("I met Dr.", False), ("In the U.S.", False), ("I am", False),
    ("In March 5, ", False), ("Yes,", False), ("...", False), ("I am here\n", False)])
def test_settled_text_is_complete_if_nothing_can_follow_its_mark(text, expected):
    buffer = TextBuffer()
    found = buffer.add(text) + buffer.settle() + buffer.settle()
    assert [clause.text for clause in found] == ([text.strip()] if expected else [])


def test_pauses_and_gaps_follow_the_marks():
    found = clauses("Hello there, you. Next one.\n\nA second paragraph.\nAnd a third one.")
    assert [(clause.gap, clause.pause) for clause in found] == [
        ("", 0.0), (" ", 0.15), (" ", 0.3), ("\n\n", 0.6), ("\n\n", 0.6)]
    assert [clause.is_last for clause in found] == [False, False, False, False, True]


def test_flushed_texts_are_apart():
    buffer = TextBuffer()
    first = buffer.add("One thing") + buffer.flush()
    second = buffer.add("Another") + buffer.flush()
    assert first[0].join(second[0]).text == "One thing Another"


def test_joined_clauses_are_the_text():
    first, second, third = clauses("Hello there, you. Bye.")
    assert first.join(second).join(third).text == "Hello there, you. Bye."


@pytest.mark.parametrize("cut", range(1, 4))
def test_characters_come_in_halves(cut):
    text = "Nice 👍🏽 work."
    units = text.encode("utf-16-le")
    halves = [units[index:index + 2].decode("utf-16-le", "surrogatepass")
              for index in range(0, len(units), 2)]
    pieces = ["".join(halves[index:index + cut]) for index in range(0, len(halves), cut)]
    assert texts(*pieces) == [text]


def test_half_characters_are_replaced():
    assert texts("Nice \ud83d work.") == ["Nice \ufffd work."]
    assert texts("Nice work \ud83d") == ["Nice work"]


@pytest.mark.parametrize("unit", ["b", "天", "a ", "a, ", "3", "3. ", "\n", " ", ".", "—", "- a\n",
                                  "ก", "é", "“", "1,"])
def test_long_texts_are_cut_in_bounded_memory_and_linear_time(unit):
    def seconds(repeats):
        buffer = TextBuffer()
        start = time.perf_counter()
        found = []
        for _ in range(repeats):
            found += buffer.add(unit)
            assert buffer.length <= 2000
        for clause in found:
            assert estimate_syllables(clause.text) <= 3 * MAX_SYLLABLES
        return time.perf_counter() - start

    count = 16000 // len(unit)
    seconds(100)
    assert seconds(count) < 16 * seconds(count // 4) + 0.1      # 4 if linear


def test_words_are_not_cut_in_long_texts():
    for clause in texts("wonderful " * 300):
        assert set(clause.split()) == {"wonderful"}
