"""Work for a client, which ends when the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive


async def unless_disconnected(request: Request, work: Coroutine) -> Any:
    """The result of a coroutine, which is cancelled when the client leaves; the request's body must
    have been read. Raises ClientDisconnect then, and what the coroutine raises."""
    task = asyncio.ensure_future(work)
    disconnected = asyncio.ensure_future(until_disconnected(request.receive))
    try:
        await asyncio.wait([task, disconnected], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        disconnected.cancel()
        await asyncio.gather(task, disconnected, return_exceptions=True)
        del task                # else its exception, and what that holds, would wait for the gc


async def until_disconnected(receive: Receive) -> None:
    """Return when the client has left; the request's body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
