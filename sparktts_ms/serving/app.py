"""One ASGI application of all protocols; `create_app` is also a factory for uvicorn."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from sparktts_ms.serving.elevenlabs import routes as elevenlabs
from sparktts_ms.serving.environment import load_service, settings_from_environment
from sparktts_ms.serving.errors import RETRY_AFTER, Refusals
from sparktts_ms.serving.kserve.grpc import serve_grpc
from sparktts_ms.serving.kserve.http import MODEL_PATHS, KServeApi
from sparktts_ms.serving.kserve.inference import Inference
from sparktts_ms.serving.middleware import (
    ApiKeys,
    BodyLimit,
    BodyTimeLimit,
    ErrorLog,
    HostCheck,
    OriginCheck,
    TotalBodyLimit,
)
from sparktts_ms.serving.middleware.refusal import Refuse, json_refusal
from sparktts_ms.serving.middleware.routes import route_path
from sparktts_ms.serving.monitoring.health import PATHS as HEALTH_PATHS
from sparktts_ms.serving.monitoring.health import HealthApi
from sparktts_ms.serving.monitoring.tracing import RequestLog
from sparktts_ms.serving.openai import OpenAIApi
from sparktts_ms.serving.openai import refusal as openai_refusal
from sparktts_ms.serving.server import SpeechServer
from sparktts_ms.serving.settings import Limits

FORM_OVERHEAD = 128 << 10       # bytes of an upload's form besides the file
OPEN_PATHS = (*HEALTH_PATHS, "/v2/health/live", "/v2/health/ready", "GET /v1/audio/voices")
QUIET_PATHS = r"/health(/\w+)?|/metrics|/v2/health/\w+"
OPEN_SOCKETS = elevenlabs.SOCKETS       # whose keys may come in their first message
KEY_HEADERS = ("xi-api-key",)   # of ElevenLabs's clients
# Bodies larger than Limits.body, by path: recordings.
UPLOAD_PATHS = ("/v1/audio/voices", "/v1/audio/voice_consents", "/v1/audio/speech")

PROTOCOL_PATHS = r"/v[12](/|$)"

Load = Callable[[], Any]        # a Service, or what has its methods
Handle = Callable[[Request, Any], Awaitable[Response]]


def create_app(server: SpeechServer | None = None, load: Load | None = None) -> ASGIApp:
    """The application. Without a server it is set up by the environment (see
    `sparktts_ms.serving.environment`). load: returns the service, called when the application
    starts; without a server the model of the environment is loaded.

    Raises InputError for a variable that makes no sense.
    """
    if server is None:
        server = SpeechServer(settings_from_environment())
        load = load or load_service
    settings = server.settings
    limits = settings.limits
    refuse = refusals()
    inference = Inference(server)
    app = Starlette(routes=routes(server, inference), lifespan=lifespan(server, inference, load),
                    exception_handlers=error_handlers(refuse))
    guards = [
        Middleware(RequestLog, QUIET_PATHS),
        Middleware(CORSMiddleware, settings.origins, allow_methods=["*"], allow_headers=["*"],
                   expose_headers=["*"]),
        Middleware(ErrorLog, refuse=refuse),
        Middleware(HostCheck, settings.hosts, refuse=refuse),
        Middleware(OriginCheck, settings.origins, refuse=refuse),
        Middleware(ApiKeys, settings.api_keys, KEY_HEADERS, OPEN_PATHS, refuse=refuse,
                   open_sockets=OPEN_SOCKETS),
        Middleware(BodyLimit, limits.body, larger_bodies(limits), refuse=refuse),
        Middleware(TotalBodyLimit, limits.bodies, limits.body, RETRY_AFTER, refuse=refuse),
        Middleware(BodyTimeLimit, limits.body_seconds, refuse=refuse),
    ]
    guarded: Any = app
    for guard in reversed(guards):
        guarded = guard.cls(guarded, *guard.args, **guard.kwargs)
    return guarded


def routes(server: SpeechServer, inference: Inference | None = None) -> list[BaseRoute]:
    """Of all protocols. inference: shared with gRPC, where that is served."""
    return [
        *HealthApi(server).routes(),
        *OpenAIApi(server).routes(),
        *elevenlabs.ElevenLabsApi(server).routes(),
        *KServeApi(inference or Inference(server)).routes(),
    ]


def refusals(other: Refuse = json_refusal) -> Refuse:
    """Refusals in the form of the path's protocol, or of `other`."""
    forms = {**dict.fromkeys(elevenlabs.PREFIXES, elevenlabs.refusal), "/v1/": openai_refusal}
    return Refusals(forms, other)


def larger_bodies(limits: Limits) -> dict[str, int]:
    """Bytes of bodies by path: recordings, also as base64; tensors."""
    uploads = dict.fromkeys(UPLOAD_PATHS, limits.upload * 4 // 3 + FORM_OVERHEAD)
    return {**uploads, MODEL_PATHS: limits.tensors}


def lifespan(server: SpeechServer, inference: Inference, load: Load | None = None) -> Any:
    """What starts and ends with an application: a model that `load` returns, and gRPC."""
    settings = server.settings

    @asynccontextmanager
    async def run(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(server.close)
            if settings.grpc_port is not None:
                server.grpc_port = await stack.enter_async_context(serve_grpc(
                    inference, settings.host, settings.grpc_port, settings.api_keys))
            if load is not None:
                service = await server.speech.run(load)
                stack.callback(service.close)
                await server.speech.run(server.start, service)
            yield

    return run


def error_handlers(refuse: Refuse, other: Handle | None = None) -> dict[Any, Handle]:
    """Of an application: what is no path or method, and what nobody expected, in the form of the
    path's protocol. other: handles HTTP errors of paths that belong to no protocol."""

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if other is not None and not re.match(PROTOCOL_PATHS, route_path(request.scope)):
            return await other(request, error)
        problem = {404: "There is no such path.", 405: "This path has another method."}
        message = problem.get(error.status_code, error.detail)
        return refuse(request.scope, error.status_code, message, error.headers or {})

    async def unexpected_error(request: Request, error: Exception) -> Response:
        # Starlette raises the error again when this has been sent; the log has a line then.
        return refuse(request.scope, 500, "The server failed; its log has the details.", {})

    return {HTTPException: http_error, Exception: unexpected_error}
