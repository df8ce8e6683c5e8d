"""How large a request's body may be, and all bodies together, and how slowly they may arrive.

All of it counts while the body arrives. What has been refused gets the refusal whatever the
application makes of its broken-off body, unless a response has already begun.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from types import MappingProxyType

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparktts_ms.serving.middleware.refusal import Refuse, json_refusal
from sparktts_ms.serving.middleware.routes import route_path


class _BodyRefused(Exception):
    """Ends an application's reading of the body."""


class _BodyCheck:
    """What they share: the application reads the body through `_receive`, which may refuse it."""

    def __init__(self, app: ASGIApp, refuse: Refuse):
        self.app = app
        self.refuse = refuse

    async def _run(self, scope: Scope, receive: Receive, send: Send, status: int, message: str,
                   headers: Mapping[str, str] = MappingProxyType({})) -> None:
        """Run the application; the response is a refusal if `receive` raised _BodyRefused."""
        refused = started = False

        async def watched_receive() -> Message:
            nonlocal refused
            try:
                return await receive()
            except _BodyRefused:
                refused = True
                raise

        async def watched_send(message: Message) -> None:
            nonlocal started
            if not refused or started:
                started = True
                await send(message)

        try:
            await self.app(scope, watched_receive, watched_send)
        except Exception:
            if not refused:
                raise
        if refused and not started:
            await self.refuse(scope, status, message, headers)(scope, receive, send)


class BodyLimit(_BodyCheck):
    """ASGI middleware; status 413 for larger bodies.

    max_bytes: of a body; larger: other limits by path, for uploads; a path that ends in "/" stands
    for all paths below it.
    """

    def __init__(self, app: ASGIApp, max_bytes: int = 1 << 20,
                 larger: Mapping[str, int] | None = None, refuse: Refuse = json_refusal):
        super().__init__(app, refuse)
        self.max_bytes = max_bytes
        self.larger = dict(larger or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        limit = self._limit(route_path(scope))
        message = f"This request may have at most {limit / (1 << 20):.0f} MB."
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > limit:
            return await self.refuse(scope, 413, message, {})(scope, receive, send)
        num_bytes = 0

        async def counted() -> Message:
            nonlocal num_bytes
            received = await receive()
            num_bytes += len(received.get("body", b""))
            if num_bytes > limit:
                raise _BodyRefused
            return received

        await self._run(scope, counted, send, 413, message)

    def _limit(self, path: str) -> int:
        if path in self.larger:
            return self.larger[path]
        limits = [limit for prefix, limit in self.larger.items()
                  if prefix.endswith("/") and path.startswith(prefix)]
        return max(limits, default=self.max_bytes)


class TotalBodyLimit(_BodyCheck):
    """ASGI middleware; status 429 while the large bodies of all requests together have too many
    bytes, so that many uploads at a time cannot fill the memory.

    max_bytes: of all bodies whose responses have not begun. free_bytes: of each body that do not
    count, so that small requests pass whatever the large ones do.
    """

    def __init__(self, app: ASGIApp, max_bytes: int = 256 << 20, free_bytes: int = 1 << 20,
                 retry_after: int = 10, refuse: Refuse = json_refusal):
        super().__init__(app, refuse)
        self.max_bytes = max_bytes
        self.free_bytes = free_bytes
        self.headers = {"Retry-After": str(retry_after)}
        self.num_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        received = counted = 0
        began = False                   # the response: what comes then is not kept

        async def counting() -> Message:
            nonlocal received, counted
            message = await receive()
            received += len(message.get("body", b""))
            more = 0 if began else max(received - self.free_bytes, 0) - counted
            if more and self.num_bytes + more > self.max_bytes:
                raise _BodyRefused
            counted += more
            self.num_bytes += more
            return message

        async def releasing(message: Message) -> None:
            nonlocal began
            began = True
            release()
            await send(message)

        def release() -> None:
            nonlocal counted
            self.num_bytes -= counted
            counted = 0

        try:
            await self._run(scope, counting, releasing, 429,
                            "The server is busy with large requests; try again in a few seconds.",
                            self.headers)
        finally:
            release()


class BodyTimeLimit(_BodyCheck):
    """ASGI middleware; status 408 for a body that does not arrive in time.

    seconds: for the body, and one more for every `min_rate` bytes received. A response may take as
    long as it likes.
    """

    def __init__(self, app: ASGIApp, seconds: float = 30.0, min_rate: float = 16 << 10,
                 refuse: Refuse = json_refusal):
        super().__init__(app, refuse)
        self.seconds = seconds
        self.min_rate = min_rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        deadline = time.monotonic() + self.seconds
        complete = False

        async def timed() -> Message:
            nonlocal deadline, complete
            if complete:
                return await receive()
            try:
                remaining = deadline - time.monotonic()
                message = await asyncio.wait_for(receive(), max(remaining, 0.001))
            except (asyncio.TimeoutError, TimeoutError):
                raise _BodyRefused from None
            deadline += len(message.get("body", b"")) / self.min_rate
            complete = not message.get("more_body", False)
            return message

        await self._run(scope, timed, send, 408, "The request did not arrive in time.")
