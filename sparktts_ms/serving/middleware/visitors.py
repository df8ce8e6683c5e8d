"""A cookie that tells visitors apart, also after they load the page again."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparktts_ms.serving.middleware.routes import route_path

COOKIE = "spark_tts_visitor"
VISITOR = "visitor"         # of scope["state"]: the cookie's value, or ""
VALUE = re.compile(r"[0-9a-f]{32}")
MAX_AGE = 30 * 24 * 3600    # seconds


class VisitorCookie:
    """ASGI middleware. The value is unguessable; programs that keep no cookies have none.

    paths: whose responses set the cookie where there is none.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str] = ("",)):
        self.app = app
        self.paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        visitor = _cookie_value(Headers(scope=scope).get("cookie", ""))
        scope.setdefault("state", {})[VISITOR] = visitor
        if visitor or scope["method"] != "GET" or route_path(scope) not in self.paths:
            return await self.app(scope, receive, send)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                value = f"{COOKIE}={secrets.token_hex(16)}"
                attributes = f"Path=/; Max-Age={MAX_AGE}; HttpOnly; SameSite=Lax"
                MutableHeaders(scope=message).append("Set-Cookie", f"{value}; {attributes}")
            await send(message)

        await self.app(scope, receive, send_with_cookie)


def _cookie_value(header: str) -> str:
    """The visitor's value in a Cookie header; empty if there is none."""
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None and VALUE.fullmatch(morsel.value) else ""
