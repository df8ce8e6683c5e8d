"""Long lists in JSON, as the json module reads and writes them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.serving.kserve import json_numbers

LONG = np.random.default_rng(0).normal(size=9000).tolist()     # some 190 KB


@pytest.mark.parametrize("document", [
    {"data": [LONG], "id": "1"}, {"data": LONG}, {"data": [LONG, LONG[::-1]]}, LONG, [[[LONG]]],
    {"data": list(range(40_000))}, {"data": LONG[:9]}, {}, [], "text", 1.5, None,
    {"a": [LONG, {"b": LONG}], "c": ["text"]}])
@pytest.mark.parametrize("form", [{}, {"separators": (",", ":")}, {"indent": 1}])
def test_documents_are_read_as_by_json(document, form):
    text = json.dumps(document, **form).encode()
    read = json_numbers.loads(text)
    assert read == json.loads(text)
    assert json.dumps(read) == json.dumps(json.loads(text))     # also 1 and 1.0


@pytest.mark.parametrize("change", [
    (b"[", b"[,"), (b"]", b",]"), (b", ", b",,"), (b", ", b" "), (b".", b".."), (b"0.", b"00."),
    (b", ", b", +"), (b"]", b""), (b"]", b"]]"), (b", ", b", 1e"), (b", ", b", -, ")])
@pytest.mark.parametrize("place", [0, 60_000, 70_000, 180_000])
def test_damaged_lists_are_refused(change, place):
    text = json.dumps(LONG).encode()
    damaged = text[:place] + text[place:].replace(*change, 1)
    try:
        json.loads(damaged)
    except ValueError:
        with pytest.raises(ValueError):
            json_numbers.loads(damaged)
    else:
        assert json_numbers.loads(damaged) == json.loads(damaged)


def test_text_is_not_taken_apart():
    text = json.dumps({"target_text": ["[1, 2]" * 3000], "data": LONG}).encode()
    assert json_numbers.loads(text) == json.loads(text)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=9),
       st.sampled_from([1, 3, 4096]))
def test_numbers_are_written_as_by_json(numbers, piece):
    array = np.array(numbers, np.float32).reshape(1, -1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_numbers, "PIECE_NUMBERS", piece)
        written = json_numbers.dump_numbers(array)
    assert json.loads(written) == numbers
    assert json_numbers.dump_numbers(np.array([[1, -2]], np.int32)) == "[1,-2]"
