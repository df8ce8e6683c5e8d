"""uvicorn in a thread, with limits of what connections may do before they are requests.

Applies to any ASGI application. The middleware beside it limits the requests.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import threading
import time
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from sparktts_ms.errors import InputError
from sparktts_ms.serving.middleware.errors import OneLine, quoted

HEADER_SECONDS = 15.0           # from the connection, or the last response, to the next headers
WRITE_SECONDS = 300.0           # how long a client may leave what it was sent unread
MAX_HEADER_BYTES = 64 << 10     # of the request line and the headers
MAX_CONNECTIONS = 2000
SPARE_FILES = 200               # open files beside connections
START_SECONDS = 60.0
PING_SECONDS = 120.0            # for the answer to a ping, which waits behind sound that is unread
CLOSE_SECONDS = 2               # for responses in progress
BUSY = (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 30\r\n"
        b"Connection: close\r\n\r\n")


class LimitedProtocol(H11Protocol):
    """Closes connections that wait too long with their headers or do not read what they are sent,
    and refuses too many."""

    max_connections = MAX_CONNECTIONS
    header_seconds = HEADER_SECONDS
    write_seconds = WRITE_SECONDS
    _header_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.write(BUSY)
            transport.close()
        else:
            self._start_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_idle() and self.transport.get_protocol() is self:
            self._start_timer()
        else:
            self._stop_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._start_timer()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_write_timer()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_write_timer()
        super().connection_lost(exc)

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _is_idle(self) -> bool:
        """Whether no request is being answered. A request's headers may be arriving, or the rest
        of a body whose request has been answered."""
        return self.cycle is None or self.cycle.response_complete

    def _start_timer(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(self.header_seconds, self._time_out)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _time_out(self) -> None:
        self._header_timer = None
        if self._is_idle() and not self.transport.is_closing():
            self.transport.close()


class HttpServer:
    """url: address of the server; its port is the real one if the port was 0."""

    def __init__(self, app: ASGIApp, host: str, port: int, root_path: str = ""):
        """Raises InputError if the server cannot listen there."""
        self._socket = listen(host, port)
        port = self._socket.getsockname()[1]
        name = "localhost" if host in ("", "0.0.0.0", "::") else host.strip("[]")
        self.url = f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"
        self.host, self.port = host, port
        for library in ("uvicorn.error", "asyncio"):
            logger = logging.getLogger(library)
            if not any(isinstance(known, OneLine) for known in logger.filters):
                logger.addFilter(OneLine())
        protocol: Any = type("Protocol", (LimitedProtocol,),
                             {"max_connections": _max_connections()})
        self._server = uvicorn.Server(uvicorn.Config(
            app, http=protocol, log_config=None, log_level="warning", access_log=False,
            root_path=root_path, server_header=False, ws_max_size=1 << 20,
            ws_ping_timeout=PING_SECONDS,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_graceful_shutdown=CLOSE_SECONDS))
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> HttpServer:
        """Returns when requests are answered. Raises InputError."""
        self._thread.start()
        end = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise InputError("The HTTP server did not start; the log has the details.")
            time.sleep(0.01)
        return self

    def close(self) -> None:
        """Stop listening; responses in progress have a few seconds."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(5 * CLOSE_SECONDS)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises InputError."""
    name = host.strip("[]")
    try:
        if name == "localhost":
            name = "127.0.0.1"
        family, _, _, _, address = socket.getaddrinfo(
            name or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        dualstack = family == socket.AF_INET6 and name in ("", "::")
        return socket.create_server(address[:2], family=family, backlog=512,
                                    dualstack_ipv6=dualstack and socket.has_dualstack_ipv6())
    except (OSError, OverflowError, UnicodeError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        problem = f"The server cannot listen on {quoted(host)}:{port}: {reason}."
        is_taken = getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES)
        raise InputError(problem, "Choose another address or port.",
                         code="port_unavailable" if is_taken else None) from None


def _max_connections() -> int:
    """What the limit of open files allows, after it has been raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + SPARE_FILES
    if soft < wanted and soft != resource.RLIM_INFINITY:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(16, min(MAX_CONNECTIONS, soft - SPARE_FILES))
