"""How a middleware refuses a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

Refuse = Callable[[Scope, int, str, Mapping[str, str]], Response]


def json_refusal(scope: Scope, status: int, message: str, headers: Mapping[str, str]) -> Response:
    """{"error": message}."""
    return JSONResponse({"error": message}, status, dict(headers))
