"""Errors as OpenAI's clients read them: {"error": {"message", "type", "param", "code"}}.

Everything a caller did wrong is 400, 401, 404 or 413: some clients catch 400 only, and 422 is not
one of OpenAI's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from sparktts_ms.errors import InputError, SparkTTSError
from sparktts_ms.serving.errors import http_status, retry_headers

FAILED = "The server failed; its log has the details."
CODES = {401: "invalid_api_key", 404: "not_found", 408: "request_timeout", 413: "too_large",
         429: "rate_limit_exceeded", 500: "server_error", 503: "service_unavailable"}
# The field that an error of the library is about, where it is one.
FIELDS = {
    "no_text": "input",
    "not_unicode": "input",
    "prompt_too_long": "input",
    "unsupported_language": "input",
    "too_long": "input",
    "no_voice": "voice",
    "unknown_voice": "voice",
    "not_a_voice": "voice",
    "voice_and_gender": "gender",
    "style_without_voice": "voice",
    "number_needs_gender": "pitch",
    "unknown_format": "response_format",
}


class FieldError(InputError):
    """What is wrong with one field of a request."""

    def __init__(self, field: str, problem: str, hint: str = "", code: str | None = None):
        super().__init__(problem, hint, code=code)
        self.field = field


@contextlib.contextmanager
def about(field: str) -> Iterator[None]:
    """What goes wrong in the block is about one field, and is said of it."""
    try:
        yield
    except FieldError:
        raise
    except SparkTTSError as error:
        if http_status(error) != 400:
            raise
        raise FieldError(field, error.message(subject=field), code=error.code) from error


def content(status: int, message: str, field: str | None = None,
            code: str | None = None) -> dict[str, Any]:
    """The body of an error."""
    kind = "invalid_request_error"
    if status == 429:
        kind, code = "rate_limit_error", CODES[429]
    elif status >= 500:
        kind = "server_error"
    return {"error": {"message": message, "type": kind, "param": field,
                      "code": code or CODES.get(status)}}


def error_content(error: BaseException, status: int | None = None) -> dict[str, Any]:
    """The body of an error: files by name, never by path."""
    status = status or http_status(error)
    if not isinstance(error, SparkTTSError):
        return content(status, FAILED)
    subject = None if error.subject is None else Path(error.subject).name
    field = error.field if isinstance(error, FieldError) else FIELDS.get(error.code or "")
    return content(status, error.message(subject), field, error.code)


def error_response(error: BaseException, status: int | None = None) -> Response:
    """The response of an error, with Retry-After where another try may help."""
    status = status or http_status(error)
    return JSONResponse(error_content(error, status), status, retry_headers(status))


def refusal(scope: Scope, status: int, message: str, headers: Mapping[str, str]) -> Response:
    """A refusal of middleware."""
    return JSONResponse(content(status, message), status, dict(headers))

