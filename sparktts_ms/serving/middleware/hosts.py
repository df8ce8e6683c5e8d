"""The Host header. A server on a loopback address must not answer to other names.

With DNS rebinding, a page of another site makes its own name point to 127.0.0.1; to the browser
the server then belongs to that site, and only the Host header tells.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from sparktts_ms.serving.middleware.refusal import Refuse, json_refusal

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+|\*)(:(?P<port>[0-9]{1,5}))?")


class HostCheck:
    """ASGI middleware; status 403 for other hosts.

    allowed: host names or addresses without port; "*.example.org" stands for all names below
    example.org, "*" for everything that can be a host. The list may grow later.
    """

    def __init__(self, app: ASGIApp, allowed: Sequence[str], refuse: Refuse = json_refusal):
        self.app = app
        self.allowed = allowed
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_allowed(Headers(scope=scope).getlist("host")):
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        message = "This server does not go by that host name."
        await self.refuse(scope, 403, message, {})(scope, receive, send)

    def _is_allowed(self, hosts: Sequence[str]) -> bool:
        name = host_name(hosts[0]) if len(hosts) == 1 else ""
        return bool(name) and any(host_matches(name, allowed.lower()) for allowed in self.allowed)


def host_name(host: str) -> str:
    """The name in `host[:port]`, in lower case; empty if it is malformed."""
    match = HOST.fullmatch(host)
    return match["name"].lower().removesuffix(".") if match else ""


def is_loopback(address: str) -> bool:
    """Whether an address or host name is this machine's own."""
    name = address.strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"


def host_matches(name: str, allowed: str) -> bool:
    """Whether a name in lower case is meant by one of `HostCheck.allowed`."""
    if allowed.startswith("*."):
        return name.endswith(allowed[1:])
    return allowed in ("*", name)
