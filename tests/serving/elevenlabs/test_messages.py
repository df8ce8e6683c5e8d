"""What clients send, and what they are told."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.errors import InputError, ServiceClosed
from sparktts_ms.serving.elevenlabs.messages import (
    Message,
    audio_message,
    error_message,
    final_message,
    parse_message,
)

JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=20),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["text", "context_id", "flush", "close_context", "speed",
                                         "voice_settings", "xi_api_key", "other"]), inner))


@pytest.mark.parametrize("fields, expected", [
    ({"text": " ", "context_id": "a", "voice_settings": {"stability": 0.5, "speed": 1.1}},
     Message("a", " ", speed=1.1)),
    ({"text": "", "context_id": "a", "flush": True}, Message("a", "", flush=True)),
    ({"text": "Hello "}, Message(text="Hello ")),
    ({"context_id": "a", "close_context": True}, Message("a", close_context=True)),
    ({"close_socket": True}, Message(close_socket=True)),
    ({"text": "Hi", "xi_api_key": "KEY"}, Message(text="Hi", api_key="KEY")),
    ({"text": "Hi", "authorization": "Bearer KEY"}, Message(text="Hi", api_key="KEY")),
    ({"text": None, "voice_settings": None, "generation_config": {"chunk_length_schedule": [50]},
      "try_trigger_generation": True, "unknown": [1]}, Message())])
def test_known_fields(fields, expected):
    assert parse_message(json.dumps(fields)) == expected


@pytest.mark.parametrize("data, problem", [
    ("hello", "The message is not JSON."), ("", "The message is not JSON."),
    ("[" * 100_000, "The message is not JSON."), ("1" * 100_000, "The message"),
    ("[1]", "The message is [1]."), ("null", "The message is None."),
    ('{"text": 5}', "text is 5. It must be a string."),
    ('{"text": ["a"]}', "text is ['a']. It must be a string."),
    ('{"text": "a", "context_id": 5}', "context_id is 5."),
    (json.dumps({"context_id": "a" * 201}), "context_id has 201 characters."),
    ('{"flush": "yes"}', "flush is 'yes'. It must be true or false."),
    ('{"close_context": 1}', "close_context is 1."),
    ('{"voice_settings": 1}', "voice_settings is 1. It must be an object."),
    ('{"voice_settings": {"speed": "fast"}}', "voice_settings.speed is 'fast'."),
    ('{"voice_settings": {"speed": NaN}}', "voice_settings.speed is nan."),
    ('{"voice_settings": {"speed": 1' + "0" * 400 + "}}", "voice_settings.speed is 1"),
    ('{"context_id": "\\ud800", "text": "a"}', "context_id is '\\ud800', which is no valid"),
    ('{"voice_settings": {"speed": true}}', "voice_settings.speed is True."),
    ('{"voice_settings": {"speed": 0.1}}', "It is a number from 0.25 to 4.0."),
    (json.dumps({"text": {"a": "\x1b" * 1000}}), "text is {'a': ")])
def test_bad_messages_are_one_clear_line(data, problem):
    with pytest.raises(InputError) as caught:
        parse_message(data)
    message = json.loads(error_message(caught.value))
    assert problem in message["message"]
    assert message["message"].isprintable() and len(message["message"]) < 300
    assert message["error"] in ("invalid_message", "invalid_voice_settings")
    assert message["code"] == 1008


@given(JSON | st.text())
def test_any_message_is_read_or_refused(value):
    for data in (json.dumps(value), str(value)):
        with contextlib.suppress(InputError):
            assert isinstance(parse_message(data), Message)


def test_errors_have_elevenlabs_names_and_codes():
    busy = json.loads(error_message(InputError("Busy.", code="busy"), "a"))
    assert busy == {"message": "Busy.", "error": "system_busy", "code": 1013, "contextId": "a"}
    assert json.loads(error_message(ServiceClosed("Over.", code="draining")))["code"] == 1012
    secret = json.loads(error_message(ValueError("/home/me/secret")))
    assert secret["code"] == 1011 and "secret" not in secret["message"]


def test_messages_of_one_context_have_no_id():
    assert "contextId" not in audio_message(b"\0", None)
    assert json.loads(audio_message(b"\0\1", "a"))["audio"] == "AAE="
    assert json.loads(final_message("a")) == {"isFinal": True, "contextId": "a"}
    assert json.loads(final_message(None)) == {"audio": None, "isFinal": True}
