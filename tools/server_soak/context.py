"""What all clients of a soak test share, and how their errors are judged."""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
import websockets

from tools.server_soak.audio import ExpectedLengths, WrongAudio
from tools.server_soak.disk import SmallDisk
from tools.server_soak.ledger import Failed, Ledger

TIMEOUT = 600.0             # seconds for one action of a client
CONNECTION_ERRORS: tuple[type[BaseException], ...] = (
    httpx.TransportError, OSError, EOFError, websockets.WebSocketException)


class Refused(Exception):
    """The server said clearly that it cannot serve this now. reason: "busy" or "draining"."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class ConnectionLost(ConnectionError):
    """A connection that broke off, of a library that says so in its own way."""


class Outages:
    """When the server was being ended or started: what breaks off then was told so."""

    def __init__(self) -> None:
        self.now = False
        self._last = float("-inf")

    def begin(self) -> None:
        self.now = True

    def end(self) -> None:
        self.now = False
        self._last = asyncio.get_running_loop().time()

    def since(self, moment: float) -> bool:
        """Whether there was an outage at any time since this moment of the loop's clock."""
        return self.now or self._last >= moment


@dataclass
class Context:
    """url: of the HTTP server. grpc: HOST:PORT. key: the API key, for headers of each protocol."""

    url: str
    grpc: str
    key: str
    http: httpx.AsyncClient
    ledger: Ledger
    expected: ExpectedLengths
    disk: SmallDisk
    outages: Outages = field(default_factory=Outages)


Action = Callable[[Context, random.Random], Awaitable[str]]


async def perform(context: Context, name: str, action: Action, generator: random.Random) -> None:
    """One action of a client. Its outcome, or what went wrong, goes to the ledger."""
    ledger = context.ledger
    began = asyncio.get_running_loop().time()
    try:
        outcome = await asyncio.wait_for(action(context, generator), TIMEOUT)
    except Refused as refused:
        if refused.reason == "busy" or context.outages.since(began):
            ledger.count(name, refused.reason)
        else:
            ledger.fail(name, "unexpected", f"{refused.reason}, but the server is not ending")
    except Failed as error:
        ledger.fail(name, error.kind, str(error))
    except WrongAudio as error:
        ledger.fail(name, "wrong_audio", str(error))
    except asyncio.TimeoutError:
        ledger.fail(name, "lost", f"no end after {TIMEOUT:g} s")
    except CONNECTION_ERRORS as error:
        if context.outages.since(began):
            ledger.count(name, "interrupted")
        else:
            ledger.fail(name, "lost", f"{type(error).__name__}: {error}")
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        ledger.fail(name, "unexpected", f"{where.name}, line {where.lineno} of {where.filename}: "
                                        f"{type(error).__name__}: {error}")
    else:
        ledger.count(name, outcome)


def check_status(response: httpx.Response) -> None:
    """Raises Refused or Failed unless the status of a response that was read is 200."""
    if response.status_code == 200:
        return
    if response.status_code == 429:
        if "retry-after" not in response.headers:
            raise Failed("unexpected", "429 without Retry-After")
        raise Refused("busy")
    if response.status_code == 503:
        raise Refused("draining")
    kind = "server_error" if response.status_code >= 500 else "unexpected"
    raise Failed(kind, f"{response.status_code}: {response.text[:200]}")
