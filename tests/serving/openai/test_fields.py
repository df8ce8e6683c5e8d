"""Bodies from outside: whatever they hold, there are checked parameters or one clear error."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparktts_ms.errors import InputError
from sparktts_ms.serving.openai.fields import Fields
from sparktts_ms.serving.openai.speech import SpeechParameters
from sparktts_ms.serving.settings import Limits
from tests.helpers import examples

NAMES = ("input", "model", "voice", "response_format", "stream_format", "speed", "sample_rate",
         "seed", "temperature", "top_k", "top_p", "pitch", "gender", "instructions", "ref_audio",
         "ref_text", "unknown")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["alloy", "mp3", "sse", "male", "high", "tts-1", "x" * 30_000, "\ud800"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["id", "x"]), inner, max_size=2), max_leaves=6)
LIKE_JSON = '{}[]",:0123456789eE+-.\\utrfalsn '
USUAL = {"input": "Hello.", "voice": "alloy", "model": "tts-1"}


@settings(max_examples=examples(200))
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))
def test_any_values_give_parameters_or_one_line(fields):
    body = json.dumps({**USUAL, **fields}).encode()
    try:
        parameters = SpeechParameters.parse(body, Limits())
    except InputError as error:
        message = str(error)
        assert message.isprintable() and len(message) < 400
    else:
        assert 0.25 <= parameters.tempo <= 4 and parameters.text.strip()
        assert len(parameters.text) <= 20_000


@settings(max_examples=examples(200))
@given(st.binary(max_size=200) | st.text(alphabet=LIKE_JSON).map(str.encode))
def test_any_bytes_give_an_object_or_one_line(content):
    try:
        values = Fields(content).values
    except InputError as error:
        assert str(error).isprintable() and len(str(error)) < 300
    else:
        assert values == json.loads(content)


@pytest.mark.parametrize("size", [1_000_000, 20_000_000])
def test_a_long_string_is_not_searched_character_by_character(size):
    """Such a body carries a recording."""
    body = json.dumps({**USUAL, "ref_audio": "A" * size}).encode()
    assert len(SpeechParameters.parse(body, Limits()).ref_audio) == size


@pytest.mark.parametrize("inner", ["[],", "{},", '1,'])
def test_many_values_are_refused_before_they_take_memory(inner):
    body = b'{"input": "Hello.", "voice": "alloy", "x": [' + inner.encode() * 5_000_000 + b"1]}"
    with pytest.raises(InputError, match="too many values"):
        SpeechParameters.parse(body, Limits())


def test_repeated_names_take_no_quadratic_time():
    pairs = "".join(f'"{n}": 1,' for n in range(90_000))
    with pytest.raises(InputError, match="more than once"):
        Fields(("{" + pairs + '"1": 2}').encode())
