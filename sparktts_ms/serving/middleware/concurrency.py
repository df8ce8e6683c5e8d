"""How many requests may be in progress."""

from __future__ import annotations

from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from sparktts_ms.serving.middleware.refusal import Refuse, json_refusal
from sparktts_ms.serving.middleware.routes import route_path


class ConcurrencyLimit:
    """ASGI middleware; status 429 with Retry-After for requests beyond the limit.

    paths: to which the limit applies, all of them together. retry_after: seconds.
    """

    def __init__(self, app: ASGIApp, paths: Collection[str], max_requests: int,
                 retry_after: int = 30, refuse: Refuse = json_refusal):
        self.app = app
        self.paths = frozenset(paths)
        self.max_requests = max_requests
        self.retry_after = retry_after
        self.refuse = refuse
        self.num_requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or route_path(scope) not in self.paths:
            return await self.app(scope, receive, send)
        if self.num_requests >= self.max_requests:
            headers = {"Retry-After": str(self.retry_after)}
            message = "The server is busy. Please try again in a minute."
            return await self.refuse(scope, 429, message, headers)(scope, receive, send)
        self.num_requests += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.num_requests -= 1
