"""Errors that nobody expected: one line in the log, and a response."""

from __future__ import annotations

import asyncio
import errno
import logging
import traceback

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparktts_ms.serving.middleware.refusal import Refuse, json_refusal

logger = logging.getLogger("sparktts_ms")

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
BROKEN_OFF = "ASGI callable returned without completing response."     # ErrorLog has said why
MAX_QUOTED = 80             # characters of a value in the log


class FullDisk:
    """ASGI middleware; status 507 where the application finds the disk full."""

    def __init__(self, app: ASGIApp, refuse: Refuse = json_refusal):
        self.app = app
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            logger.error("The temporary folder cannot be written: %s.", error.strerror)
            message = "The server's disk is full; try again later."
            await self.refuse(scope, 507, message, {})(scope, receive, send)


class ErrorLog:
    """ASGI middleware, the outermost: an exception is one line in the log, and status 500 unless a
    response has begun. Clients that hang up are not even that. Tracebacks are logged at DEBUG."""

    def __init__(self, app: ASGIApp, refuse: Refuse = json_refusal):
        self.app = app
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched_send)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log_error(f"{scope.get('method', scope['type'])} {quoted(scope.get('path', ''))}",
                      error)
            if not started and scope["type"] == "http":
                message = "The server failed; its log has the details."
                await self.refuse(scope, 500, message, {})(scope, receive, send)


class OneLine(logging.Filter):
    """Makes records of a library's logger one line each, without traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage().strip()
        error = record.exc_info[1] if record.exc_info else None
        if message == BROKEN_OFF or isinstance(error, asyncio.CancelledError):
            return False
        if error is not None:
            message = f"{message}: {describe_error(error)}"
        record.msg = " ".join(message.split())
        record.args = ()
        record.exc_info = record.exc_text = record.stack_info = None
        return True


def log_error(what: str, error: BaseException) -> None:
    """One line; the traceback at DEBUG."""
    logger.error("%s failed: %s", what, describe_error(error))
    logger.debug("The traceback:", exc_info=error)


def describe_error(error: BaseException) -> str:
    """Class, message and place of an error, in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {quoted(str(error))}{place}"


def quoted(text: str) -> str:
    """What others sent, cut and escaped for the log."""
    text = text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "…"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
