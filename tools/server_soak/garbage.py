"""What no client should send: it is answered by one clear line, or the connection ends."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import struct
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as grpc_types
import tritonclient.grpc.aio as grpc_client
from tritonclient.utils import InferenceServerException
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tools.server_soak import voice_clients, websocket_clients
from tools.server_soak.context import Action, Context, Refused
from tools.server_soak.kserve_clients import headers, judged
from tools.server_soak.ledger import Failed

SPEECH = "/v1/audio/speech"
WELL = {"model": "tts-1", "input": "Hello.", "voice": "alloy", "response_format": "pcm"}
MAX_MESSAGE = 1000

# Fields that must be refused, beside those of WELL. None removes a field.
WRONG_FIELDS: tuple[dict[str, Any], ...] = (
    {"input": None}, {"input": ""}, {"input": " \n "}, {"input": 5}, {"input": ["a"]},
    {"input": "a " * 60_000}, {"input": "\ud800"}, {"voice": None}, {"voice": 7}, {"voice": {}},
    {"voice": "nobody"}, {"voice": "../../etc/passwd"}, {"voice": "..%2f..%2fetc"},
    {"voice": "a" * 5000}, {"voice": "\0"}, {"model": "nothing"}, {"model": 3},
    {"response_format": "exe"}, {"response_format": 1}, {"speed": "fast"}, {"speed": 1000},
    {"speed": -1}, {"sample_rate": 7}, {"sample_rate": 10**30}, {"seed": "x"}, {"seed": -5},
    {"temperature": -1}, {"temperature": "hot"}, {"top_p": 7}, {"top_k": -3}, {"pitch": "odd"},
    {"gender": 12}, {"stream_format": "tape"}, {"ref_audio": "@@@"}, {"ref_audio": 12},
    {"ref_audio": "data:audio/wav;base64,AAAA"}, {"ref_audio": "http://127.0.0.1:22/x"},
    {"ref_audio": "http://169.254.169.254/latest/meta-data"}, {"ref_audio": "file:///etc/passwd"},
    {"ref_audio": base64.b64encode(bytes(40_000)).decode()},
    {"ref_audio": base64.b64encode(b"RIFF" + bytes(2000)).decode()},
)
WRONG_BODIES = (b"", b"{", b"[]", b"null", b"7", b'"text"', b"\xff\xfe\x00", b"input=Hello", b"{}",
                b'{"input": NaN', b"[" * 100_000, b'{"a":' * 50_000, bytes(3 << 20))
MESSAGES = ("{", "[]", "null", "7", '"text"', '{"text": 5}', '{"context_id": {}}', "x" * 100_000,
            '{"text": "a", "context_id": "' + "c" * 5000 + '"}', "[" * 50_000, b"\0\1\2" * 100,
            '{"flush": "maybe"}', '{"close_context": true, "context_id": "none"}')


async def wrong_fields(context: Context, generator: random.Random) -> str:
    """A JSON object that makes no sense in one field."""
    wrong = generator.choice(WRONG_FIELDS)
    body = {name: value for name, value in {**WELL, **wrong}.items() if value is not None}
    response = await context.http.post(SPEECH, content=json.dumps(body).encode(),
                                       headers={"Content-Type": "application/json"})
    return check_refusal(response, f"{str(wrong)[:60]}", (400, 404, 413))


async def wrong_body(context: Context, generator: random.Random) -> str:
    """A body that is no such object, or a wrong key, path or method."""
    body = generator.choice(WRONG_BODIES)
    case = generator.randrange(6)
    if case == 0:
        response = await context.http.post(SPEECH, json=WELL,
                                           headers={"Authorization": "Bearer wrong"})
        return check_refusal(response, "wrong key", (401,))
    if case == 1:
        response = await context.http.delete("/v1/audio/voices/" + generator.choice(
            ("nobody", "%2e%2e%2f%2e%2e%2fpasswd", "a" * 2000, "%00", "alloy")))
        return check_refusal(response, "deletion", (400, 403, 404, 405))
    if case == 2:
        response = await context.http.post(
            voice_clients.PATH,
            data={"name": generator.choice(("../x", "", "a" * 3000, "ok-name"))},
            files={"audio_sample": ("x.wav", generator.choice((b"", b"RIFF", bytes(90_000))))})
        return check_refusal(response, "voice upload", (400, 413))
    if case == 3:
        response = await context.http.post(voice_clients.PATH, content=body, headers={
            "Content-Type": "multipart/form-data; boundary=x"})
        return check_refusal(response, "form", (400, 413))
    response = await context.http.post(SPEECH, content=body,
                                       headers={"Content-Type": "application/json"})
    return check_refusal(response, f"{body[:20]!r}", (400, 413))


def check_refusal(response, case: str, statuses: tuple[int, ...]) -> str:
    """Raises Failed unless the answer is one of these statuses and one clear line."""
    status = response.status_code
    if status in (429, 503):
        raise Refused("busy" if status == 429 else "draining")
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        raise Failed("unexpected", f"{case}: {status}: {response.text[:100]!r}") from None
    if status not in statuses or not 5 < len(message) < MAX_MESSAGE or "\n" in message:
        kind = "server_error" if status >= 500 else "unexpected"
        raise Failed(kind, f"{case}: {status}: {message[:150]!r}")
    return "refused"


async def wrong_messages(context: Context, generator: random.Random) -> str:
    """Garbage on a WebSocket ends it, or is answered."""
    try:
        socket = await websocket_clients.connect(
            context, generator.choice(("alloy", "alloy", "nobody", "..%2f..")))
    except (InvalidHandshake, ConnectionClosed) as error:
        status = getattr(getattr(error, "response", None), "status_code", 0)
        if status in (429, 503):
            raise Refused("busy" if status == 429 else "draining") from None
        if status >= 500:
            raise Failed("server_error", f"the WebSocket is refused with {status}") from None
        return "refused"
    try:
        async with socket:
            for _ in range(3):
                await socket.send(generator.choice(MESSAGES))
            await asyncio.wait_for(socket.recv(), 0.5)
    except (asyncio.TimeoutError, ConnectionClosed):
        pass
    if socket.close_code == 1011:
        raise Failed("server_error", f"the WebSocket ended with 1011 {socket.close_reason}")
    return "refused"


async def raw_bytes(context: Context, generator: random.Random) -> str:
    """Bytes that are no HTTP, or half a request, on either port."""
    host, port = generator.choice((context.url.removeprefix("http://"), context.grpc)).split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(generator.choice((
            generator.randbytes(500), b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 100, b"A" * 20_000,
            b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
            b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + generator.randbytes(200))))
        await asyncio.wait_for(reader.read(1000), 1.0)
    except (asyncio.TimeoutError, ConnectionError):
        pass                                # it may wait for more, or reset the connection
    finally:
        writer.transport.abort()
    return "refused"


async def wrong_tensors(context: Context, generator: random.Random) -> str:
    """Tensors of wrong names, types, shapes and sizes."""
    tensors = []
    for name, kind, array in (
            ("reference_wav", "FP32", np.zeros((1, 32_000), np.float32)),
            ("reference_wav_len", "INT32", np.array([[32_000]], np.int32)),
            ("reference_text", "BYTES", np.array([["a"]], object)),
            ("target_text", "BYTES", np.array([["Hello."]], object))):
        tensor = grpc_types.InferInput(name, array.shape, kind)
        tensor.set_data_from_numpy(array)
        tensors.append(tensor)
    model = "spark_tts"
    case = generator.randrange(6)
    if case == 0:
        model = "nothing"
    elif case == 1:
        tensors.pop()
    elif case == 2:
        tensors[0].set_shape([1 << 40])
    elif case == 3:
        tensors[0]._raw_content = tensors[0]._raw_content[:-3]
    elif case == 4:
        tensors[1]._raw_content = struct.pack("<i", generator.choice((-1, 1 << 30)))
    else:
        tensors[3]._raw_content = b"\xff\xff\xff\x7fabc"
    try:
        async with grpc_client.InferenceServerClient(context.grpc) as client:
            await client.infer(model, tensors, headers=headers(context))
    except InferenceServerException as error:
        status, message = error.status() or "", error.message() or ""
    except grpc.aio.AioRpcError as error:
        status, message = str(error.code()), error.details() or ""
    else:
        raise Failed("unexpected", f"wrong tensors ({case}) are taken")
    if not any(name in status for name in ("INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE")):
        raise judged(status, f"wrong tensors ({case}): {message}")
    if not message or "\n" in message:
        raise Failed("unexpected", f"wrong tensors ({case}): {message!r}")
    return "refused"


ACTIONS: dict[str, tuple[float, Action]] = {
    "garbage fields": (2.0, wrong_fields),
    "garbage bodies": (2.0, wrong_body),
    "garbage websocket": (1.0, wrong_messages),
    "garbage bytes": (1.0, raw_bytes),
    "garbage tensors": (1.0, wrong_tensors),
}
