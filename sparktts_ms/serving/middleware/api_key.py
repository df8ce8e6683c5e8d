"""Keys that requests must carry."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Collection, Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from sparktts_ms.serving.middleware.refusal import Refuse, json_refusal
from sparktts_ms.serving.middleware.routes import route_path

KEY_ID = "api_key_id"       # of scope["state"]: identifies the key of a request, without telling it
CHALLENGE = 'Basic realm="Enter the key as the password", charset="UTF-8"'


class KnownKeys:
    """The keys that are accepted, as digests; false if there are none."""

    def __init__(self, keys: Collection[str]):
        self._digests = [_digest(key.encode()) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def find(self, candidate: bytes) -> str:
        """Identifies a key without telling it; empty if it is not known. In constant time."""
        digest = _digest(candidate)
        found = ""
        for known in self._digests:                 # all of them
            if hmac.compare_digest(digest, known):
                found = digest.hex()[:32]
        return found


class ApiKeys:
    """ASGI middleware; status 401 without one of the keys. No keys: every request is let through.

    Programs send `Authorization: Bearer KEY`. Browsers ask for a name and a password and send both
    with every request; the password is the key, the name is ignored. headers: other headers that
    may hold the key alone. open_paths: need no key, as "/path", or with one method as "GET /path".
    open_sockets: a regular expression for the paths of WebSockets that check keys themselves.
    scope["state"][KEY_ID] identifies the key; it is empty if there is none.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str], headers: Sequence[str] = (),
                 open_paths: Collection[str] = (), refuse: Refuse = json_refusal,
                 open_sockets: str = "(?!)"):
        self.app = app
        self.keys = KnownKeys(keys)
        self.headers = tuple(headers)
        self.open_paths = frozenset(open_paths)
        self.refuse = refuse
        self.open_sockets = re.compile(open_sockets)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or not self.keys:
            return await self.app(scope, receive, send)
        key_id = self._key_id(Headers(scope=scope))
        is_preflight = scope.get("method") == "OPTIONS"         # browsers send it without a key
        path = route_path(scope)
        is_open = not self.open_paths.isdisjoint((path, f"{scope.get('method')} {path}"))
        if scope["type"] == "websocket" and self.open_sockets.fullmatch(path):
            is_open = True
        if key_id or is_preflight or is_open:
            scope.setdefault("state", {})[KEY_ID] = key_id
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        message = "This server needs a key: Authorization: Bearer KEY."
        headers = {"WWW-Authenticate": CHALLENGE}
        await self.refuse(scope, 401, message, headers)(scope, receive, send)

    def _key_id(self, headers: Headers) -> str:
        """Of the key in the headers; empty if there is none that is valid."""
        candidates = [_authorization_key(headers.get("authorization", ""))]
        candidates += [headers.get(name, "").encode("latin-1") for name in self.headers]
        found = [self.keys.find(candidate) for candidate in candidates]
        return next(filter(None, reversed(found)), "")


def _authorization_key(value: str) -> bytes:
    """The key in an Authorization header; empty if there is none."""
    scheme, _, credentials = value.strip().partition(" ")
    credentials = credentials.strip()
    if scheme.lower() == "bearer":
        return credentials.encode("latin-1")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credentials, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
