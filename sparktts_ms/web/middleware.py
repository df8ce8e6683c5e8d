"""Who may ask, and how much he may send: other sites' pages may not use a visitor's browser to reach this server.

A page on another site can make a browser post a form here without asking. Browsers say so in the Origin header (and in
Sec-Fetch-Site); programs that are no browsers send neither and are let through.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("sparktts_ms")

FULL = (errno.ENOSPC, errno.EDQUOT)
SAFE = ("GET", "HEAD", "OPTIONS")
ROOM_FOR_FORM = 1 << 20         # bytes of a request besides its file


class Guard:
    """ASGI middleware. `origins`: sites besides this one whose pages may ask, "*" for all; `upload`: bytes of a request;
    `speaking`: paths that cost work even when they are only fetched."""

    def __init__(self, app: ASGIApp, origins: Sequence[str] = (), upload: int = 20 << 20, speaking: Sequence[str] = ()):
        self.app, self.most, self.speaking = app, upload + ROOM_FOR_FORM, tuple(speaking)
        self.origins = {"*" if origin == "*" else _site(origin) for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        if not self._welcome(scope, headers):
            return await JSONResponse({"error": "This was asked by a page of another site, which is refused; start the server "
                                                "with --allow_origin to allow it."}, 403)(scope, receive, send)
        if headers.get("content-length", "0").isdigit() and int(headers.get("content-length", "0")) > self.most:
            return await JSONResponse({"error": f"At most {self.most >> 20} MB can be sent."}, 413)(scope, receive, send)
        await self._stored(scope, self._counting(receive), send)

    async def _stored(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The answer; one line instead if what was sent cannot be kept."""
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)
        try:
            await self.app(scope, receive, noted)
        except OSError as problem:
            if begun or problem.errno not in FULL:
                raise
            logger.error("Nothing can be stored in the folder for temporary files: %s.", problem.strerror)
            await PlainTextResponse("This server's disk is full; please try again later.", 507)(scope, receive, send)

    def _welcome(self, scope: Scope, headers: Headers) -> bool:
        if "*" in self.origins:
            return True
        origin = headers.get("origin")
        if scope["method"] in SAFE:
            foreign = headers.get("sec-fetch-site") == "cross-site" or (origin and not self._ours(origin, headers))
            return not (foreign and scope["path"].rstrip("/").endswith(self.speaking))
        return origin is None or self._ours(origin, headers)

    def _ours(self, origin: str, headers: Headers) -> bool:
        site = _site(origin)
        return bool(site) and (site in self.origins or site in (headers.get("host", "").lower(),
                                                                headers.get("x-forwarded-host", "").lower()))

    def _counting(self, receive: Receive) -> Receive:
        """`receive` for a body that did not say how long it is."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.most:
                raise HTTPException(413, f"At most {self.most >> 20} MB can be sent.")
            return message
        return counted


def _site(origin: str) -> str:
    """host:port of https://host:port; empty for "null" and the like."""
    return urlsplit(origin).netloc.rpartition("@")[2].lower()
