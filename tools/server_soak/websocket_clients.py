"""Clients of the WebSocket that takes text in pieces, as ElevenLabs' clients speak to it."""

from __future__ import annotations

import asyncio
import base64
import json
import random

import numpy as np
import websockets.asyncio.client
from websockets.exceptions import ConnectionClosed, InvalidStatus

from benchmarks.serving_texts import SENTENCES
from tools.server_soak.audio import Sound, check_speech
from tools.server_soak.context import Action, Context, Refused
from tools.server_soak.ledger import Failed

RATE = 24_000
# Of the WebSocket protocol: the server goes away, or restarts; try again later.
CLOSE_CODES = {1001: "draining", 1012: "draining", 1013: "busy"}
PATH = "/v1/text-to-speech/{voice}/multi-stream-input?model_id=m&output_format=pcm_24000"


class Connection:
    """A WebSocket; messages of all contexts come in one row."""

    def __init__(self, socket: websockets.asyncio.client.ClientConnection):
        self.socket = socket

    async def send(self, **message) -> None:
        await self.socket.send(json.dumps(message))

    async def receive(self) -> dict:
        message = json.loads(await self.socket.recv())
        if message.get("code") in CLOSE_CODES:
            raise Refused(CLOSE_CODES[message["code"]])
        if message.get("error"):
            raise Failed("unexpected", f"the WebSocket says {json.dumps(message)[:200]}")
        return message


async def connect(context: Context, voice: str = "alloy"):
    address = context.url.replace("http://", "ws://") + PATH.format(voice=voice)
    return await websockets.asyncio.client.connect(
        address, additional_headers={"xi-api-key": context.key}, max_size=None, proxy=None,
        open_timeout=120)


def pieces(text: str, generator: random.Random) -> list[str]:
    """The text in words, some of them together, as a language model writes it."""
    words = text.split(" ")
    parts = []
    while words:
        count = generator.randint(1, 4)
        parts.append(" ".join(words[:count]) + " ")
        words = words[count:]
    return parts


async def converse(context: Context, generator: random.Random) -> str:
    """Two contexts on one connection, one of which may be interrupted; each gets its own speech."""
    texts = {name: generator.choice(SENTENCES[2:]) for name in ("a", "b")}
    interrupted = "b" if generator.random() < 0.5 else None
    began = asyncio.get_running_loop().time()
    sound = dict.fromkeys(texts, b"")
    first = None
    try:
        async with await connect(context) as socket:
            connection = Connection(socket)
            for name, text in texts.items():
                await connection.send(text=" ", context_id=name)
                for piece in pieces(text, generator):
                    await connection.send(text=piece, context_id=name)
                    await asyncio.sleep(0.01)
                await connection.send(context_id=name, flush=True)
                if name != interrupted:         # ends the turn; what was flushed is spoken
                    await connection.send(context_id=name, close_context=True)
            final: set[str] = set()
            while final != set(texts):
                message = await connection.receive()
                name = str(message.get("contextId"))
                if name not in texts:
                    raise Failed("unexpected", f"a message of context {name!r}")
                if message.get("audio"):
                    first = first or asyncio.get_running_loop().time() - began
                    sound[name] += base64.b64decode(message["audio"], validate=True)
                    if name == interrupted:
                        await connection.send(context_id=name, close_context=True)
                        interrupted = f"{name} closed"
                if message.get("isFinal"):
                    final.add(name)
            await connection.send(close_socket=True)
    except InvalidStatus as error:
        raise refusal(error) from None
    except ConnectionClosed as error:
        if error.rcvd is not None and error.rcvd.code in CLOSE_CODES:
            raise Refused(CLOSE_CODES[error.rcvd.code]) from None
        raise
    for name, content in sound.items():
        if interrupted == f"{name} closed":
            continue
        samples = np.frombuffer(content, "<i2").astype(np.float32) / 32768
        check_speech(Sound(samples, RATE), texts[name])
        context.ledger.heard("websocket", first or 0.0, len(samples) / RATE)
    return "ok"


async def vanish(context: Context, generator: random.Random) -> str:
    """A client whose connection breaks off while it is spoken to."""
    try:
        socket = await connect(context)
    except InvalidStatus as error:
        raise refusal(error) from None
    connection = Connection(socket)
    await connection.send(text=" ", context_id="c")
    await connection.send(text=generator.choice(SENTENCES) + " ", context_id="c", flush=True)
    if generator.random() < 0.5:
        await asyncio.sleep(generator.random())
    else:
        await connection.receive()
    socket.transport.abort()
    return "left"


def refusal(error: InvalidStatus) -> Exception:
    status = error.response.status_code
    if status in (429, 503):
        return Refused("busy" if status == 429 else "draining")
    kind = "server_error" if status >= 500 else "unexpected"
    return Failed(kind, f"the WebSocket is refused with {status}")


ACTIONS: dict[str, tuple[float, Action]] = {
    "websocket": (3.0, converse),
    "websocket leaver": (1.5, vanish),
}
