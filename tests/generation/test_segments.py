"""Segments of a text, prepared part by part."""

import re
from concurrent.futures import Executor, Future

import pytest

from sparktts_ms import SpeechRequest
from sparktts_ms.errors import InputError
from sparktts_ms.generation import segments as module
from sparktts_ms.generation.segments import FIRST_SEGMENTS, PART_LENGTH, Segments, split_parts
from sparktts_ms.text.split import split_text

SENTENCE = "On May 5 we paid $5.20 for 3 kg of apples and walked home. "
LONG = SENTENCE * 300


def request(text, **options):
    return SpeechRequest(text, gender="female", pitch="low", speed="low", **options)


class Recorded(Executor):
    """Runs nothing until `run` is called."""

    def __init__(self):
        self.calls = []

    def submit(self, function, *arguments):
        future = Future()
        self.calls.append((future, function, arguments))
        return future

    def run(self):
        for future, function, arguments in self.calls:
            try:
                future.set_result(function(*arguments))
            except Exception as error:
                future.set_exception(error)
        self.calls = []


@pytest.fixture
def normalized(monkeypatch):
    """The texts that have been normalized."""
    texts = []

    def normalize(text):
        texts.append(text)
        return text.upper()

    monkeypatch.setattr(module, "normalize", normalize)
    return texts


def test_normalization_sees_whole_sentences_of_joined_lines(normalized):
    segments = Segments(request("It costs\n$5 in\nall.\nYes.\n\nThe next paragraph"))
    assert normalized == ["It costs $5 in all.\n\nYes.\n\nThe next paragraph"]
    assert [segment.text for segment in segments.ready] == ["IT COSTS $5 IN ALL.", "YES.",
                                                            "THE NEXT PARAGRAPH"]
    assert [segment.pause > 0.5 for segment in segments.ready] == [True, True, False]


def test_first_segments_need_the_first_part_only(normalized):
    segments = Segments(request(LONG))
    assert len(normalized) == 1 and len(normalized[0]) < 2 * PART_LENGTH
    assert len(segments.ready) == FIRST_SEGMENTS and not segments.complete
    segments.prepare(10_000)
    assert segments.complete and len(normalized) > 5
    assert " ".join(normalized) == LONG.strip()


def test_segments_are_those_of_the_whole_text():
    text = LONG + "\n\n" + "今天天气很好，我们去公园。" * 200
    segments = Segments(request(text, normalize=False))
    segments.prepare(10_000)
    assert segments.ready == split_text(text)


def test_an_executor_prepares_what_is_needed(normalized):
    executor = Recorded()
    segments = Segments(request(LONG), executor)
    segments.prepare(FIRST_SEGMENTS)
    assert not executor.calls                   # they are ready
    segments.prepare(100)
    segments.prepare(100)
    assert len(executor.calls) == 1 and len(segments.ready) == FIRST_SEGMENTS
    executor.run()
    assert len(segments.ready) == 100


def test_an_error_in_the_executor_is_raised(monkeypatch):
    executor = Recorded()
    segments = Segments(request(LONG), executor)

    def broken(text):
        raise RuntimeError("broken")

    monkeypatch.setattr(module, "normalize", broken)
    segments.prepare(200)
    executor.run()
    with pytest.raises(RuntimeError, match="broken"):
        segments.prepare(200)


@pytest.mark.parametrize("options", [{"split": True}, {"split": False}])
def test_a_text_of_which_nothing_is_left_is_an_error(monkeypatch, options):
    monkeypatch.setattr(module, "normalize", lambda text: " ")
    with pytest.raises(InputError, match="no text"):
        Segments(request("* * *", **options))


@pytest.mark.parametrize("text", [LONG, "天" * 5000, "天地。" * 3000, "line.\n" * 2000, "x" * 1500])
def test_parts_hold_the_whole_text(text):
    parts = [part for part, _ in split_parts(text)]
    assert re.sub(r"\s", "", "".join(parts)) == re.sub(r"\s", "", text)
    assert all(len(part) >= PART_LENGTH for part in parts[:-1])
    if "." in text or "。" in text:
        assert max(map(len, parts)) < 3 * PART_LENGTH
