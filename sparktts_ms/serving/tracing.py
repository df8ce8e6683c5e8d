"""Which request something belongs to: an id in logs and responses, and spans of OpenTelemetry where
it is installed and set up (https://opentelemetry.io; its SDK is configured by its own variables).
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparktts_ms.serving.middleware.errors import quoted
from sparktts_ms.serving.middleware.routes import route_path

try:
    from opentelemetry import propagate, trace
except ImportError:
    trace = propagate = None        # type: ignore[assignment]

logger = logging.getLogger("sparktts_ms.serving")

REQUEST_ID = "x-request-id"
VALID_ID = re.compile(r"[\w.:/+=-]{1,64}", re.ASCII)
_request_id: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """Of the request that is being answered here; empty outside one."""
    return _request_id.get()


class RequestLog:
    """ASGI middleware: an id for every request, from its header X-Request-Id or new, also in the
    response; one line in the log when it has been answered; a span of OpenTelemetry.

    quiet: a regular expression of whole paths that have neither a line nor a span.
    """

    def __init__(self, app: ASGIApp, quiet: str = ""):
        self.app = app
        self.quiet = re.compile(quiet)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        given = headers.get(REQUEST_ID, "")
        request_id = given if VALID_ID.fullmatch(given) else f"req-{secrets.token_hex(8)}"
        status = 0
        start = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.accept"):
                status = message.get("status", 101)
                message.setdefault("headers", [])
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            elif message["type"] == "websocket.close":
                status = message.get("code", 1000)
            await send(message)

        token = _request_id.set(request_id)
        what = f"{scope.get('method', 'WebSocket')} {quoted(scope['path'])}"
        quiet = self.quiet.fullmatch(route_path(scope)) is not None
        try:
            with contextlib.nullcontext() if quiet else _span(what, headers, request_id) as span:
                await self.app(scope, receive, send_with_id)
                if span is not None:
                    span.set_attribute("http.response.status_code", status)
        finally:
            _request_id.reset(token)
            if not quiet:
                seconds = time.perf_counter() - start
                logger.info("%s %s, %.2f s, %s", what, status or "broken off", seconds, request_id)


@contextlib.contextmanager
def _span(name: str, headers: Headers, request_id: str) -> Iterator[Any]:
    """A span below the one that the caller's `traceparent` names; None without OpenTelemetry."""
    if trace is None:
        yield None
        return
    context = propagate.extract(dict(headers))
    tracer = trace.get_tracer("sparktts_ms")
    with tracer.start_as_current_span(name, context, kind=trace.SpanKind.SERVER) as span:
        span.set_attribute("request.id", request_id)
        yield span
