"""SpeechRequest and Chunks: each contradiction has its code."""

import logging

import numpy as np
import pytest

from sparktts_ms import Chunks, SpeechRequest, Voice
from sparktts_ms.errors import InputError
from sparktts_ms.generation.attributes import Style
from sparktts_ms.generation.request import as_request

VOICE = Voice(np.arange(32))


@pytest.mark.parametrize("fields, code", [
    ({"text": " \n", "voice": VOICE}, "no_text"),
    ({}, "no_voice"),
    ({"pitch": "low"}, "style_without_voice"),
    ({"speed": 4.5}, "style_without_voice"),
    ({"voice": VOICE, "gender": "male"}, "voice_and_gender"),
    ({"voice": VOICE, "pitch": 150}, "number_needs_gender"),
    ({"gender": "neither"}, None),
    ({"gender": "male", "pitch": "lowest"}, None),
    ({"gender": "male", "speed": 11}, None),
])
def test_contradictions_are_refused(fields, code):
    with pytest.raises(InputError) as error:
        SpeechRequest(**{"text": "Any.", **fields})
    assert error.value.code == code and "--" not in str(error.value)


@pytest.mark.parametrize("fields, style", [
    ({"voice": VOICE}, None),
    ({"voice": VOICE, "speed": "high"}, Style(None, "moderate", "high")),
    ({"gender": "female"}, Style("female", "moderate", "moderate")),
    ({"gender": "male", "pitch": 120.0, "speed": "low"}, Style("male", 120.0, "low")),
])
def test_style_of_a_request(fields, style):
    assert SpeechRequest("Any.", **fields).style == style


def test_default_levels_are_logged(caplog):
    with caplog.at_level(logging.WARNING, "sparktts_ms"):
        request = SpeechRequest("Any.", gender="female", pitch="low")
        assert not caplog.messages          # an error may come before it is generated
        request.log_defaults()
    assert caplog.messages == ["No speed was given; moderate is used."]


def test_request_from_text_or_as_it_is():
    request = SpeechRequest(" Any. ", VOICE, split=False)
    assert request.text == "Any."
    assert as_request(request, None, {}) is request
    assert as_request("Any.", VOICE, {"split": False}) == request


@pytest.mark.parametrize("fields", [
    {"lookahead": -1}, {"lookahead": 1.5}, {"first": 0}, {"first": 101}, {"growth": 0.9}])
def test_chunk_sizes_out_of_range_are_refused(fields):
    with pytest.raises(InputError, match=next(iter(fields))):
        Chunks(**fields)


def test_lookahead_that_is_given_is_that_of_the_first_chunk_too():
    assert Chunks().first_lookahead < Chunks().lookahead
    assert Chunks(67).first_lookahead == 67
    assert Chunks(67, first_lookahead=5).first_lookahead == 5
    with pytest.raises(InputError, match="first_lookahead"):
        Chunks(10, first_lookahead=11)
