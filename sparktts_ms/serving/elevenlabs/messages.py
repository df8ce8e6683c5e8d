"""Messages of ElevenLabs' WebSocket protocols, and its forms of errors.

Source: the API reference at elevenlabs.io, "Multi-Context WebSocket", "WebSocket" and "Errors".
Fields that are not known, and those that have no meaning here, are ignored.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from sparktts_ms.errors import InputError, ServiceClosed, SparkTTSError, one_line, quoted
from sparktts_ms.serving.elevenlabs.text_buffer import SURROGATE

MAX_CONTEXT_ID = 200            # characters
MIN_SPEED, MAX_SPEED = 0.25, 4.0

NORMAL, POLICY_VIOLATION, INTERNAL_ERROR, SERVICE_RESTART, TRY_AGAIN = 1000, 1008, 1011, 1012, 1013

# Our codes of errors that have a name of ElevenLabs' own.
ERROR_CODES = {"busy": "system_busy", "unknown_voice": "voice_not_found", "no_text": "text_empty",
               "too_long": "text_too_long"}
CLOSE_CODES = {"busy": TRY_AGAIN, "loading": TRY_AGAIN, "draining": SERVICE_RESTART}


@dataclass(frozen=True)
class Message:
    """What a client sends. text: None if there is none; "" keeps a context alive, and ends the
    text where there is only one context."""

    context_id: str = ""
    text: str | None = None
    flush: bool = False
    close_context: bool = False
    close_socket: bool = False
    speed: float | None = None
    api_key: str | None = None


def parse_message(data: str) -> Message:
    """Raises InputError ("invalid_message")."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        raise InputError("The message is not JSON.", 'Send an object, such as {"text": "Hello. "}.',
                         code="invalid_message") from None
    if not isinstance(fields, dict):
        raise InputError(f"The message is {quoted(fields)}.",
                         'It must be an object, such as {"text": "Hello. "}.',
                         code="invalid_message")
    context_id = _field(fields, "context_id", str) or ""
    if len(context_id) > MAX_CONTEXT_ID:
        raise InputError(f"context_id has {len(context_id)} characters.",
                         f"Give it at most {MAX_CONTEXT_ID}.", code="invalid_message")
    if SURROGATE.search(context_id):                        # what is sent back must be UTF-8
        raise InputError(f"context_id is {quoted(context_id)}, which is no valid Unicode text.",
                         "Give it letters and digits.", code="invalid_message")
    authorization = _field(fields, "authorization", str) or ""
    return Message(
        context_id,
        _field(fields, "text", str),
        _field(fields, "flush", bool) or False,
        _field(fields, "close_context", bool) or False,
        _field(fields, "close_socket", bool) or False,
        parse_speed(_field(fields, "voice_settings", dict)),
        _field(fields, "xi_api_key", str) or authorization.removeprefix("Bearer ").strip() or None)


def parse_speed(settings: dict[str, Any] | None) -> float | None:
    """The pace in the settings of a voice; the others mean nothing here. Raises InputError
    ("invalid_voice_settings")."""
    speed = (settings or {}).get("speed")
    if speed is None:
        return None
    is_number = isinstance(speed, int | float) and not isinstance(speed, bool)
    if not is_number or not MIN_SPEED <= speed <= MAX_SPEED:
        raise InputError(f"voice_settings.speed is {quoted(speed)}.",
                         f"It is a number from {MIN_SPEED} to {MAX_SPEED}.",
                         code="invalid_voice_settings")
    return float(speed)


def audio_message(audio: bytes, context_id: str | None, alignment: dict | None = None) -> str:
    """Sound, and when its characters are spoken. context_id: None where there is one context."""
    fields: dict[str, Any] = {"audio": base64.b64encode(audio).decode()}
    if context_id is None:
        fields["isFinal"] = False
    else:
        fields["contextId"] = context_id
    fields["alignment"] = fields["normalizedAlignment"] = alignment
    return json.dumps(fields, ensure_ascii=False)


def final_message(context_id: str | None) -> str:
    """Nothing of the context follows."""
    if context_id is None:
        return json.dumps({"audio": None, "isFinal": True})
    return json.dumps({"isFinal": True, "contextId": context_id}, ensure_ascii=False)


def error_message(error: BaseException, context_id: str | None = None) -> str:
    """What went wrong, in one line. context_id: of the context that it ended."""
    fields = {"message": error_text(error), "error": error_code(error), "code": close_code(error)}
    if context_id is not None:
        fields["contextId"] = context_id
    return json.dumps(fields, ensure_ascii=False)


def error_text(error: BaseException) -> str:
    """In one line. What nobody expected is in the server's log only."""
    if isinstance(error, SparkTTSError):
        return one_line(error, 500)
    return "The server failed; its log has the details."


def error_code(error: BaseException) -> str:
    """ElevenLabs' name for an error, or ours where it has none."""
    if not isinstance(error, SparkTTSError):
        return "internal_server_error"
    code = error.code or "invalid_request"
    return ERROR_CODES.get(code, code)


def close_code(error: BaseException) -> int:
    """Of a WebSocket that an error ends."""
    if not isinstance(error, SparkTTSError):
        return INTERNAL_ERROR
    default = SERVICE_RESTART if isinstance(error, ServiceClosed) else POLICY_VIOLATION
    return CLOSE_CODES.get(error.code or "", default)


def error_detail(error: BaseException, kind: str) -> dict[str, Any]:
    """The body of an HTTP response. kind: such as "validation_error"."""
    code = error_code(error)
    return {"detail": {"type": kind, "code": code, "status": code, "message": error_text(error)}}


def _field(fields: dict[str, Any], name: str, kind: type) -> Any:
    """A field of that type; None if it is missing or null."""
    value = fields.get(name)
    if value is None or isinstance(value, kind):
        return value
    names = {str: "a string", bool: "true or false", dict: "an object"}
    raise InputError(f"{name} is {quoted(value)}.", f"It must be {names[kind]}.",
                     code="invalid_message")
