"""Only the routes that an application means to offer; whatever a framework adds is not found."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from sparktts_ms.serving.middleware.refusal import Refuse, json_refusal


def route_path(scope: Scope) -> str:
    """The path below the application's root path, without a slash at the end: "/tts"; "" is "/"."""
    path = scope["path"]
    root = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(root + "/")):
        path = path[len(root):]
    return path.rstrip("/")


class AllowedRoutes:
    """ASGI middleware; status 404 for other routes.

    routes: pairs of methods, as "GET HEAD", and a regular expression that the whole path matches.
    is_allowed: has the last word on a path that matches.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[tuple[str, str]],
                 is_allowed: Callable[[str], bool] = bool, refuse: Refuse = json_refusal):
        self.app = app
        self.routes = [(frozenset(methods.split()), re.compile(path)) for methods, path in routes]
        self.is_allowed = is_allowed
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._matches(scope):
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        await self.refuse(scope, 404, "There is no such path.", {})(scope, receive, send)

    def _matches(self, scope: Scope) -> bool:
        path = route_path(scope) or "/"
        method = scope.get("method", "GET")
        for methods, pattern in self.routes:
            if method in methods and pattern.fullmatch(path):
                return self.is_allowed(path)
        return False
