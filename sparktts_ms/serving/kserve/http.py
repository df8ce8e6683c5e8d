"""The KServe V2 protocol over HTTP, with Triton's extensions of upstream's runtime.

Source: kserve.github.io, "Open Inference Protocol"; github.com/triton-inference-server/server,
docs/protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sparktts_ms.errors import SparkTTSError
from sparktts_ms.serving.disconnect import unless_disconnected
from sparktts_ms.serving.errors import retry_headers
from sparktts_ms.serving.kserve.errors import status_of
from sparktts_ms.serving.kserve.http_body import (
    compress,
    decompress,
    encode_response,
    parse_object,
    parse_request,
    too_large,
)
from sparktts_ms.serving.kserve.inference import Inference
from sparktts_ms.serving.kserve.models import ModelSpec, find_model

HEADER_LENGTH = "Inference-Header-Content-Length"
MODEL_PATHS = "/v2/models/"     # begins the paths whose bodies may be large

Handler = Callable[[Request], Awaitable[Response]]


class KServeApi:
    """The routes below /v2. Errors are {"error": message}; status 400, 404, 413, 429 or 503."""

    def __init__(self, inference: Inference):
        self.inference = inference
        self.limit = inference.server.settings.limits.tensors

    def routes(self) -> list[BaseRoute]:
        model = "/v2/models/{model}"
        paths: list[tuple[str, Handler, str]] = [
            ("/v2", self.server_metadata, "GET"),
            ("/v2/health/live", self.live, "GET"),
            ("/v2/health/ready", self.ready, "GET"),
            ("/v2/models/stats", self.statistics, "GET"),
            ("/v2/repository/index", self.repository_index, "POST"),
        ]
        for path in (model, model + "/versions/{version}"):
            paths += [
                (path, self.model_metadata, "GET"),
                (f"{path}/ready", self.model_ready, "GET"),
                (f"{path}/config", self.model_config, "GET"),
                (f"{path}/stats", self.statistics, "GET"),
                (f"{path}/infer", self.infer, "POST"),
            ]
        return [Route(path, in_protocol(handler), methods=[method])
                for path, handler, method in paths]

    async def server_metadata(self, request: Request) -> Response:
        return JSONResponse(self.inference.server_metadata())

    async def live(self, request: Request) -> Response:
        live = not self.inference.speech.is_stuck
        return JSONResponse({"live": live}, 200 if live else 503)

    async def ready(self, request: Request) -> Response:
        return self._readiness("The server")

    async def model_ready(self, request: Request) -> Response:
        return self._readiness(f"The model {_model(request).name}")

    async def model_metadata(self, request: Request) -> Response:
        return JSONResponse(_model(request).metadata())

    async def model_config(self, request: Request) -> Response:
        return JSONResponse(self.inference.config(_model(request).name))

    async def statistics(self, request: Request) -> Response:
        statistics = self.inference.statistics
        names = [_model(request).name] if "model" in request.path_params else list(statistics)
        return JSONResponse({"model_stats": [statistics[name].to_dict() for name in names]})

    async def repository_index(self, request: Request) -> Response:
        body = await read_body(request, self.limit)
        only_ready = bool(body) and parse_object(body).get("ready") is True
        return JSONResponse(self.inference.repository_index(only_ready))

    async def infer(self, request: Request) -> Response:
        model = _model(request)
        with self.inference.statistics[model.name].request() as stages:
            body = await read_body(request, self.limit)
            encoding = request.headers.get("content-encoding", "")

            def parse():
                content = decompress(body, encoding, self.limit)
                return len(content), parse_request(
                    model, content, request.headers.get(HEADER_LENGTH, ""),
                    request.query_params.get("request_id", ""))

            def encode():
                content, header_length = encode_response(infer_request, outputs)
                return *compress(content, request.headers.get("accept-encoding", "")), header_length

            memory = self.inference.memory
            size = self.limit if encoding else len(body)
            size, infer_request = await memory.read(size, parse)
            with memory.holding(size):
                work = self.inference.infer(infer_request, stages)
                outputs = await unless_disconnected(request, work)
            stages.enter("compute_output")
            content, encoding, header_length = await asyncio.to_thread(encode)
        headers = {"Content-Encoding": encoding, "Vary": "Accept-Encoding"} if encoding else {}
        if header_length:
            headers[HEADER_LENGTH] = str(header_length)
        media_type = "application/octet-stream" if header_length else "application/json"
        return Response(content, headers=headers, media_type=media_type)

    def _readiness(self, name: str) -> Response:
        if self.inference.ready:
            return JSONResponse({"ready": True})
        error = f"{name} is {self.inference.speech.state}."
        return JSONResponse({"ready": False, "error": error}, 503, retry_headers(503))


def in_protocol(handler: Handler) -> Handler:
    """The handler, with errors in the form of the protocol."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except SparkTTSError as error:
            status = status_of(error)
            return JSONResponse({"error": error.message()}, status, retry_headers(status))

    return handle


async def read_body(request: Request, limit: int) -> bytes:
    """Raises InputError for more than `limit` bytes ("too_large")."""
    parts = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
    return b"".join(parts)


def _model(request: Request) -> ModelSpec:
    return find_model(request.path_params["model"], request.path_params.get("version", ""))
