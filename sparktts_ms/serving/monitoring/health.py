"""Whether the server lives and takes requests, and its metrics."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sparktts_ms.serving.server import SpeechServer

PATHS = ("/health", "/health/live", "/health/ready", "/metrics")


class HealthApi:
    """GET /health and /health/live: 200 as long as the process and its device answer, else 503;
    /health/ready: 200 when requests are taken, else 503; /metrics: for Prometheus."""

    def __init__(self, server: SpeechServer):
        self.server = server

    def routes(self) -> list[Route]:
        return [
            Route("/health", self.live),
            Route("/health/live", self.live),
            Route("/health/ready", self.ready),
            Route("/metrics", self.metrics),
        ]

    async def live(self, request: Request) -> Response:
        if self.server.speech.is_stuck:
            return PlainTextResponse("stuck", 503)
        return PlainTextResponse("OK")

    async def ready(self, request: Request) -> Response:
        speech = self.server.speech
        if speech.is_ready:
            return PlainTextResponse("OK")
        return PlainTextResponse("stuck" if speech.is_stuck else speech.state, 503)

    async def metrics(self, request: Request) -> Response:
        content, media_type = self.server.metrics.exposition(request.headers.get("accept", ""))
        return Response(content, media_type=media_type)
