"""Clients of the KServe V2 protocol, as upstream's two client programs speak it."""

from __future__ import annotations

import asyncio
import functools
import json
import random
import uuid
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as grpc_types
import tritonclient.grpc.aio as grpc_client
from tritonclient.utils import InferenceServerException

from benchmarks.serving_texts import SENTENCES
from tools.server_soak.audio import Sound, WrongAudio, check_speech
from tools.server_soak.context import Action, ConnectionLost, Context, Refused, check_status
from tools.server_soak.ledger import Failed
from tools.server_soak.voice_clients import RECORDING, recording

RATE = 16_000
PARAMETERS = {"seed": 1}
REFERENCE_TEXT = RECORDING.with_suffix(".txt").read_text().strip()


@functools.lru_cache(1)
def reference() -> np.ndarray:
    samples, rate = recording()
    assert rate == RATE
    return samples


@functools.lru_cache(len(SENTENCES))
def http_body(text: str) -> bytes:
    samples = [[round(float(sample), 5) for sample in reference()]]
    inputs = [
        {"name": "reference_wav", "shape": [1, len(samples[0])], "datatype": "FP32",
         "data": samples},
        {"name": "reference_wav_len", "shape": [1, 1], "datatype": "INT32",
         "data": [[len(samples[0])]]},
        {"name": "reference_text", "shape": [1, 1], "datatype": "BYTES", "data": [REFERENCE_TEXT]},
        {"name": "target_text", "shape": [1, 1], "datatype": "BYTES", "data": [text]}]
    return json.dumps({"inputs": inputs, "parameters": PARAMETERS}).encode()


async def infer_http(context: Context, generator: random.Random) -> str:
    text = generator.choice(SENTENCES)
    response = await context.http.post("/v2/models/spark_tts/infer", params={"request_id": "0"},
                                       content=http_body(text),
                                       headers={"Content-Type": "application/json"})
    check_status(response)
    data = (await asyncio.to_thread(response.json))["outputs"][0]["data"]
    check(context, np.array(data, np.float32), text, "http")
    return "ok"


def tensors(text: str) -> list[Any]:
    """The inputs in the order and the shapes of upstream's client."""
    samples = reference().reshape(1, -1)
    strings = [np.array([[value]], dtype=object) for value in (REFERENCE_TEXT, text)]
    values = [("reference_wav", "FP32", samples),
              ("reference_wav_len", "INT32", np.array([[samples.size]], np.int32)),
              ("reference_text", "BYTES", strings[0]), ("target_text", "BYTES", strings[1])]
    inputs = []
    for name, kind, value in values:
        tensor = grpc_types.InferInput(name, value.shape, kind)
        tensor.set_data_from_numpy(value)
        inputs.append(tensor)
    return inputs


def headers(context: Context) -> dict[str, str]:
    return {"authorization": f"Bearer {context.key}"}


async def infer_grpc(context: Context, generator: random.Random) -> str:
    """A whole response, or a stream to its end."""
    text = generator.choice(SENTENCES)
    stream = generator.random() < 0.6
    try:
        async with grpc_client.InferenceServerClient(context.grpc) as client:
            wanted = [grpc_types.InferRequestedOutput("waveform")]
            if not stream:
                result = await client.infer("spark_tts", tensors(text), outputs=wanted,
                                            request_id="1", headers=headers(context),
                                            parameters=PARAMETERS)
                check(context, result.as_numpy("waveform").reshape(-1), text, "grpc")
                return "ok"
            parts = [part async for part in responses(client, context, text, wanted)]
    except InferenceServerException as error:
        raise judged(error.status(), error.message()) from None
    except grpc.aio.AioRpcError as error:
        raise judged(str(error.code()), error.details()) from None
    check(context, np.concatenate([np.zeros(0, np.float32), *parts]), text)
    return "ok"


async def responses(client: Any, context: Context, text: str, wanted: list[Any]):
    """The samples of each response of a stream. They overlap, as upstream's do."""

    async def requests():
        yield {"model_name": "spark_tts", "inputs": tensors(text), "outputs": wanted,
               "request_id": uuid.uuid4().hex}

    async for result, error in client.stream_infer(requests(), headers=headers(context)):
        if error is not None:
            raise error
        yield result.as_numpy("waveform").reshape(-1)


async def leave_grpc(context: Context, generator: random.Random) -> str:
    """A client that closes its channel at the first response, or earlier."""
    text = generator.choice(SENTENCES)
    try:
        async with grpc_client.InferenceServerClient(context.grpc) as client:
            wanted = [grpc_types.InferRequestedOutput("waveform")]

            async def first() -> None:
                async for _ in responses(client, context, text, wanted):
                    return

            await asyncio.wait_for(first(), generator.choice((0.1, 1.0, 60.0)))
    except asyncio.TimeoutError:
        pass
    except InferenceServerException as error:
        raise judged(error.status(), error.message()) from None
    except grpc.aio.AioRpcError as error:
        raise judged(str(error.code()), error.details()) from None
    return "left"


def judged(status: str | None, message: str | None) -> Exception:
    """What a status of gRPC means here."""
    text = f"{status}: {message}"
    if "RESOURCE_EXHAUSTED" in text:
        return Refused("busy")
    if "shutting down" in text or "loading" in text:
        return Refused("draining")
    if any(name in text for name in ("UNAVAILABLE", "CANCELLED")):
        return ConnectionLost(text)
    kind = "server_error" if "INTERNAL" in text or "UNKNOWN" in text else "unexpected"
    return Failed(kind, text)


def check(context: Context, samples: np.ndarray, text: str, protocol: str = "") -> None:
    """Raises WrongAudio. protocol: of a whole response, all of which are equally long."""
    if samples.dtype != np.float32 or (samples.size and np.abs(samples).max() > 1):
        raise WrongAudio(f"{samples.dtype}, largest {np.abs(samples).max():g}")
    sound = Sound(samples, RATE)
    check_speech(sound, text)
    if protocol:                # numbers in JSON are rounded, so those of HTTP may differ
        context.expected.check((protocol, text), sound, "FP32")
    context.ledger.audio_s += sound.seconds


ACTIONS: dict[str, tuple[float, Action]] = {
    "kserve http": (2.0, infer_http),
    "kserve grpc": (2.0, infer_grpc),
    "kserve grpc leaver": (1.0, leave_grpc),
}
