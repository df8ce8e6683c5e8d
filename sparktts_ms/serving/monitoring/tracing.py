"""Which request something belongs to: an id in logs and responses, and spans of OpenTelemetry where
it is installed and set up (https://opentelemetry.io; its SDK is configured by its own variables).
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
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
        what = f"{scope.get('method', 'WebSocket')} {quoted(scope['path'])}"
        quiet = self.quiet.fullmatch(route_path(scope)) is not None
        with record_request(what, headers, headers.get(REQUEST_ID, ""), quiet) as record:

            async def send_with_id(message: Message) -> None:
                if message["type"] in ("http.response.start", "websocket.accept"):
                    record.status = message.get("status", 101)
                    message.setdefault("headers", [])
                    MutableHeaders(scope=message)["X-Request-Id"] = record.request_id
                elif message["type"] == "websocket.close":
                    record.status = message.get("code", 1000)
                await send(message)

            await self.app(scope, receive, send_with_id)


@dataclass
class RequestRecord:
    """A request that is being answered. status: its end; empty if it is broken off."""

    request_id: str
    status: int | str = ""


@contextlib.contextmanager
def record_request(what: str, headers: Mapping[str, str], given_id: str = "", quiet: bool = False,
                   attribute: str = "http.response.status_code") -> Iterator[RequestRecord]:
    """An id for a request, the given one if that is valid; one line in the log at its end, and a
    span whose `attribute` is its status, unless `quiet`."""
    valid = VALID_ID.fullmatch(given_id)
    record = RequestRecord(given_id if valid else f"req-{secrets.token_hex(8)}")
    start = time.perf_counter()
    token = _request_id.set(record.request_id)
    try:
        with contextlib.nullcontext() if quiet else _span(what, headers, record.request_id) as span:
            yield record
            if span is not None:
                span.set_attribute(attribute, record.status)
    finally:
        _request_id.reset(token)
        if not quiet:
            seconds = time.perf_counter() - start
            logger.info("%s %s, %.2f s, %s", what, record.status or "broken off", seconds,
                        record.request_id)


@contextlib.contextmanager
def _span(name: str, headers: Mapping[str, str], request_id: str) -> Iterator[Any]:
    """A span below the one that the caller's `traceparent` names; None without OpenTelemetry."""
    if trace is None:
        yield None
        return
    context = propagate.extract(dict(headers))
    tracer = trace.get_tracer("sparktts_ms")
    with tracer.start_as_current_span(name, context, kind=trace.SpanKind.SERVER) as span:
        span.set_attribute("request.id", request_id)
        yield span
