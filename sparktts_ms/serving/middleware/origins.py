"""Requests that pages of other sites make.

A page of another site can make a visitor's browser post a form here. Browsers tell in the headers
Origin and Sec-Fetch-Site; programs that are not browsers send neither and are let through.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from sparktts_ms.serving.middleware.refusal import Refuse, json_refusal
from sparktts_ms.serving.middleware.routes import route_path

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}
ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
                    r"(?P<host>(\[[0-9a-f:.]+\]|[a-z0-9._-]*)(:(?P<port>[0-9]{1,5}))?)")


class OriginCheck:
    """ASGI middleware; status 403 for other sites' pages.

    origins: other sites whose pages may send requests, "*" for all. costly_paths: paths that other
    sites may not even fetch.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str] = (), costly_paths: Sequence[str] = (),
                 refuse: Refuse = json_refusal):
        self.app = app
        self.allow_all = "*" in origins
        self.hosts = {origin_host(origin) for origin in origins if origin != "*"}
        self.costly_paths = frozenset(costly_paths)
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_allowed(scope, Headers(scope=scope)):
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        message = "Pages of other sites may not use this server."
        await self.refuse(scope, 403, message, {})(scope, receive, send)

    def _is_allowed(self, scope: Scope, headers: Headers) -> bool:
        origins = headers.getlist("origin")
        if len(origins) > 1 or (origins and not headers.get("host")):
            return False
        host = origin_host(origins[0]) if origins else ""
        if host is None:
            return False
        if self.allow_all:
            return True
        own_hosts = {_with_scheme(origins[0], headers.get(name, "")) if origins else ""
                     for name in ("host", "x-forwarded-host")}
        same_site = not origins or (bool(host) and host in self.hosts | own_hosts)
        if scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS:
            return same_site
        if same_site and headers.get("sec-fetch-site") != "cross-site":
            return True
        return route_path(scope) not in self.costly_paths


def origin_host(origin: str) -> str | None:
    """host[:port] of an origin, without its scheme's own port; "" for "null" and for a scheme
    without hosts, None if it is malformed."""
    origin = origin.strip().lower()
    if origin == "null":
        return ""
    match = ORIGIN.fullmatch(origin)
    if match is None or int(match["port"] or 0) > 65535:
        return None
    return match["host"].removesuffix(DEFAULT_PORTS.get(match["scheme"], "\0"))


def _with_scheme(origin: str, host: str) -> str | None:
    """`host` as `origin_host` would give it for the origin's scheme."""
    return origin_host(f"{origin.partition('://')[0]}://{host.strip()}")
