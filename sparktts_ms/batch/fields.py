"""The fields of one line: a JSON object whose names and types are checked, and what is not known is
an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sparktts_ms.errors import InputError, one_line, quoted

MAX_TEXT = 50_000       # characters; about an hour of speech
MAX_TRANSCRIPT = 2_000
MAX_ID = 200
MAX_PATH = 4_096
MAX_SEED = (1 << 63) - 1
STYLE = ("gender", "pitch", "speed")

Check = Callable[[str, Any], None]


def _text(max_length: int) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, str):
            raise _wrong(name, value, "a string")
        if len(value) > max_length:
            raise InputError(f"{name} has {len(value):,} characters; at most {max_length:,} are "
                             "allowed.", "Cut it into several lines.", code="text_too_long")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InputError(f"{name} is no valid Unicode text: it has half a surrogate pair.",
                             code="not_unicode") from None

    return check


def _number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, value, "a number")


def _integer(name: str, value: Any) -> None:
    if type(value) is not int or abs(value) > MAX_SEED:
        raise _wrong(name, value, f"a whole number of at most {MAX_SEED}")


def _level(name: str, value: Any) -> None:
    """A level's name or a number; which ones, the request knows."""
    if isinstance(value, str):
        _text(MAX_ID)(name, value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, value, "a level or a number")


def _boolean(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise _wrong(name, value, "true or false")


def _id(name: str, value: Any) -> None:
    _text(MAX_ID)(name, str(value) if type(value) is int else value)
    if value == "":
        raise _wrong(name, value, "a string that is not empty, or a whole number")


CHECKS: Mapping[str, Check] = {
    "id": _id,
    "text": _text(MAX_TEXT),
    "voice": _text(MAX_PATH),
    "prompt_speech_path": _text(MAX_PATH),
    "prompt_text": _text(MAX_TRANSCRIPT),
    "gender": _text(MAX_ID),
    "pitch": _level,
    "speed": _level,
    "seed": _integer,
    "temperature": _number,
    "top_k": _integer,
    "top_p": _number,
    "max_new_tokens": _integer,
    "min_new_tokens": _integer,
    "normalize": _boolean,
    "split": _boolean,
}


def parse_fields(content: bytes) -> dict[str, Any]:
    """The object of a line, without fields that are null. Raises InputError ("invalid_json")."""
    try:
        values = _DECODER.decode(content.decode())
    except UnicodeDecodeError:
        raise InputError("The line is not UTF-8 text.", "Save the input as UTF-8.",
                         code="invalid_json") from None
    except RecursionError:
        raise InputError("The line is nested too deeply.", code="invalid_json") from None
    except ValueError as error:
        raise InputError(f"The line is not valid JSON: {one_line(error).rstrip('.')}.",
                         code="invalid_json") from None
    if not isinstance(values, dict):
        raise InputError(f"The line is {quoted(values)}; it must be a JSON object.",
                         code="invalid_json")
    return {name: value for name, value in values.items() if value is not None}


def with_style(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with those of `style` beside them. Raises InputError."""
    result = dict(fields)
    style = result.pop("style", {})
    if not isinstance(style, dict):
        raise _wrong("style", style, f"an object of {', '.join(STYLE)}")
    for name, value in style.items():
        if name not in STYLE:
            raise InputError(f"{quoted(name)} is no field of style.",
                             f"Its fields are {', '.join(STYLE)}.", code="unknown_field")
        if name in fields:
            raise InputError(f"{name} is given twice, in style and beside it.", "Give it once.",
                             code="invalid_field")
        if value is not None:
            result[name] = value
    return result


def check_fields(fields: Mapping[str, Any]) -> None:
    """Raise InputError, which names the field, for one that is unknown or of a wrong type; which
    values there are, the request knows."""
    for name, value in fields.items():
        if name not in CHECKS:
            raise InputError(f"{quoted(name)} is no field of a line.",
                             f"Fields are {', '.join(CHECKS)} and style.", code="unknown_field")
        CHECKS[name](name, value)


def _wrong(name: str, value: Any, wanted: str) -> InputError:
    return InputError(f"{name} is {quoted(value)}; it must be {wanted}.", code="invalid_field")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise InputError(f"{quoted(name)} is given more than once.", "Give it once.",
                             code="invalid_json")
        values[name] = value
    return values


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
