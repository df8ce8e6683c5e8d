"""Request guard: refuses requests of other sites' pages, and large bodies.

A page of another site can make a visitor's browser post a form here. Browsers tell in the headers
Origin and Sec-Fetch-Site; programs that are not browsers send neither and are let through.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("sparktts_ms")

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
FORM_OVERHEAD = 1 << 20         # bytes of a request besides the uploaded file


class RequestGuard:
    """ASGI middleware.

    origins: other sites whose pages may send requests, "*" for all. max_upload: bytes of an
    uploaded file. costly_paths: paths that other sites may not even fetch.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str] = (), max_upload: int = 20 << 20,
                 costly_paths: Sequence[str] = ()):
        self.app = app
        self.origins = {"*" if origin == "*" else _host(origin) for origin in origins}
        self.max_bytes = max_upload + FORM_OVERHEAD
        self.too_large = f"A request has at most {self.max_bytes >> 20} MB."
        self.costly_paths = tuple(costly_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        response: Response | None = None
        if not self._is_allowed(scope, headers):
            response = JSONResponse({"error": "Pages of other sites may not use this server."}, 403)
        elif length.isdigit() and int(length) > self.max_bytes:
            response = JSONResponse({"error": self.too_large}, 413)
        else:
            try:
                await self.app(scope, self._limited(receive), send)
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise
                logger.error("The temporary folder cannot be written: %s.", error.strerror)
                response = PlainTextResponse("The server's disk is full; try again later.", 507)
        if response is not None:
            await response(scope, receive, send)

    def _is_allowed(self, scope: Scope, headers: Headers) -> bool:
        if "*" in self.origins:
            return True
        origin = headers.get("origin")
        same_site = origin is None or self._is_own(origin, headers)
        if scope["method"] not in SAFE_METHODS:
            return same_site
        if same_site and headers.get("sec-fetch-site") != "cross-site":
            return True
        return not scope["path"].rstrip("/").endswith(self.costly_paths)

    def _is_own(self, origin: str, headers: Headers) -> bool:
        host = _host(origin)
        own_hosts = [headers.get(name, "").lower() for name in ("host", "x-forwarded-host")]
        return bool(host) and (host in self.origins or host in own_hosts)

    def _limited(self, receive: Receive) -> Receive:
        """`receive` that ends a body of undeclared length at the limit."""
        num_bytes = 0

        async def counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > self.max_bytes:
                raise HTTPException(413, self.too_large)
            return message

        return counted


def _host(origin: str) -> str:
    """host:port of https://host:port; empty for "null" and the like."""
    return urlsplit(origin).netloc.rpartition("@")[2].lower()
