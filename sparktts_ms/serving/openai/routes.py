"""The routes below /v1 that OpenAI's clients call, and those of servers like it.

There is no /v1/readyz and no /v1/test on purpose: wyoming_openai would take the server for another
one by them, and find no voices.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sparktts_ms.errors import ServiceClosed, SparkTTSError
from sparktts_ms.serving.encoding.encoder import AudioEncoder
from sparktts_ms.serving.openai.errors import about, error_response
from sparktts_ms.serving.openai.models import MODELS, check_model, model_card
from sparktts_ms.serving.openai.response import SpeechResponse
from sparktts_ms.serving.openai.speech import SpeechParameters
from sparktts_ms.serving.openai.voices import VoicesApi
from sparktts_ms.serving.server import SpeechServer

LARGE_BODY = 1 << 16            # bytes; larger ones are parsed in a thread
NOT_FOUND = ("unknown_voice", "model_not_found")

Endpoint = Callable[[Request], Awaitable[Response]]


class OpenAIApi:
    """Of one server."""

    def __init__(self, server: SpeechServer):
        self.server = server
        self.voices = VoicesApi(server)

    def routes(self) -> list[BaseRoute]:
        voices = self.voices
        return [
            Route("/v1/", answered(self.root)),
            Route("/v1/audio/speech", answered(self.speech), methods=["POST"]),
            Route("/v1/audio/voices", answered(voices.list), methods=["GET"]),
            Route("/v1/audio/voices", answered(voices.add), methods=["POST"]),
            Route("/v1/audio/voices/{name:path}", answered(voices.delete), methods=["DELETE"]),
            Route("/v1/audio/voice_consents", answered(voices.add_consent), methods=["POST"]),
            Route("/v1/models", answered(self.models)),
            Route("/v1/models/{name:path}", answered(self.model)),
        ]

    async def speech(self, request: Request) -> Response:
        """See SpeechParameters."""
        speech = self.server.speech
        content = b"".join([part async for part in request.stream()])   # not kept by the request
        limits = self.server.settings.limits
        if len(content) > LARGE_BODY:
            parameters = await speech.run(SpeechParameters.parse, content, limits)
        else:
            parameters = SpeechParameters.parse(content, limits)
        with about("response_format"):
            encoder = AudioEncoder(parameters.response_format, speech.sample_rate,
                                   parameters.sample_rate, parameters.tempo,
                                   streamed=parameters.streamed)
        return SpeechResponse(self.server, parameters, encoder)

    async def models(self, request: Request) -> Response:
        """{"object": "list", "data": [model, …]}."""
        return JSONResponse({"object": "list", "data": [await self._card(name) for name in MODELS]})

    async def model(self, request: Request) -> Response:
        """A model, with the voices, as clients of Speaches read it."""
        name = request.path_params["name"]
        check_model(name)
        return JSONResponse(await self._card(name))

    async def root(self, request: Request) -> Response:
        """Clients call it to open a connection in advance."""
        return JSONResponse({"object": "list", "data": []})

    async def _card(self, name: str) -> dict[str, object]:
        server = self.server
        try:
            languages, rate = server.speech.languages, server.speech.sample_rate
        except ServiceClosed:           # while the model is loaded
            languages, rate = (), None
        voices = await server.speech.run(server.voices.list)
        return model_card(name, voices, languages, rate)


def answered(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with errors as responses; in a path, what there is none of is not found."""
    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except SparkTTSError as error:
            in_path = bool(request.path_params) and error.code in NOT_FOUND
            return error_response(error, 404 if in_path else None)

    return answer
