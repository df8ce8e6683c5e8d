"""The fields of a JSON object from outside, each checked when it is read.

What is null counts as left out, and fields that nobody reads are ignored: clients send some of
servers of their own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from sparktts_ms.errors import InputError, one_line, quoted
from sparktts_ms.serving.openai.errors import FieldError

MAX_VALUES = 100_000        # beginnings of values in a body, and such characters in its texts


class Fields:
    """Of a request's body. Raises InputError if it is no JSON object; the methods raise FieldError
    for a value of another type or out of range."""

    def __init__(self, content: bytes):
        self.values = _parse(content)

    def get(self, name: str) -> Any:
        """The value as it was sent; None if it is left out."""
        return self.values.get(name)

    def text(self, name: str, max_length: int | None = None) -> str | None:
        """A string of at most so many characters."""
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise FieldError(name, f"{name} is {quoted(value)}; it must be a string.")
        return checked_text(name, value, max_length)

    def number(self, name: str, low: float, high: float) -> float | None:
        """A finite number in [low, high]."""
        value = self.get(name)
        if value is None:
            return None
        valid = isinstance(value, int | float) and not isinstance(value, bool)
        if not valid or not low <= value <= high:
            raise FieldError(name, f"{name} is {quoted(value)}; it must be a number from {low:g} "
                                   f"to {high:g}.")
        return float(value)

    def integer(self, name: str, low: int, high: int) -> int | None:
        """A whole number in [low, high]; 3.0 is one, too."""
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, float) and math.isfinite(value) and value == int(value):
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            raise FieldError(name, f"{name} is {quoted(value)}; it must be a whole number from "
                                   f"{low} to {high}.")
        return value

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """One of a few strings."""
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, str) or value not in choices:
            raise FieldError(name, f"{name} is {quoted(value)}; it must be one of "
                                   f"{', '.join(choices)}.")
        return value


def checked_text(name: str, value: str, max_length: int | None = None) -> str:
    """The text, if it can be written as UTF-8 and is not too long. Raises FieldError."""
    if max_length is not None and len(value) > max_length:
        raise FieldError(name, f"{name} has {len(value):,} characters; at most {max_length:,} are "
                               "allowed.", code="string_above_max_length")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FieldError(name, f"{name} is no valid Unicode text: it has half a surrogate pair.",
                         code="not_unicode") from None
    return value


def _parse(content: bytes) -> dict[str, Any]:
    """A JSON object without repeated names. Raises InputError."""
    if sum(map(content.count, (b"{", b"[", b","))) > MAX_VALUES:
        raise InputError("The body has too many values.", code="invalid_json")
    try:
        values = json.loads(content, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise InputError("The body is nested too deeply.", code="invalid_json") from None
    except ValueError as error:         # also UnicodeDecodeError, and numbers of very many digits
        reason = one_line(error).rstrip(".")
        raise InputError(f"The body is not valid JSON: {reason}.", code="invalid_json") from None
    if not isinstance(values, dict):
        raise InputError(f"The body is {quoted(values)}; it must be a JSON object.",
                         code="invalid_json")
    return values


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise FieldError(one_line(name), f"{quoted(name)} is given more than once.",
                             code="invalid_json")
        values[name] = value
    return values


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
