"""ElevenLabs' text to speech as its clients call it: WebSockets, HTTP, and the list of voices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Scope
from starlette.websockets import WebSocket

from sparktts_ms.errors import InputError, SparkTTSError, VoiceError, quoted
from sparktts_ms.serving.disconnect import unless_disconnected
from sparktts_ms.serving.elevenlabs.messages import error_detail
from sparktts_ms.serving.elevenlabs.options import parse_options
from sparktts_ms.serving.elevenlabs.session import (
    Session,
    is_valid_key,
    refuse,
    refuse_first_message,
)
from sparktts_ms.serving.elevenlabs.speech import (
    Speech,
    read_body,
    start_speech,
    stream_response,
    timed_response,
    timed_stream_response,
)
from sparktts_ms.serving.errors import http_status, retry_headers
from sparktts_ms.serving.middleware.api_key import KEY_ID
from sparktts_ms.serving.middleware.errors import log_error
from sparktts_ms.serving.server import SpeechServer

PREFIX = "/v1/text-to-speech/"
PREFIXES = (PREFIX, "/v1/voices/", "/v2/voices/")     # of paths that are this protocol's
SOCKETS = PREFIX + "[^/]+/(multi-)?stream-input"
KEY_PARAMETERS = ("authorization", "xi-api-key", "xi_api_key")
KINDS = {400: "validation_error", 401: "authentication_error", 404: "not_found",
         413: "validation_error", 429: "rate_limit_error", 503: "service_unavailable"}
CATEGORIES = {"saved": "cloned"}            # of voices; others are "premade"

Respond = Callable[[Speech], Awaitable[Response]]


class ElevenLabsApi:
    """WebSockets `multi-stream-input` and `stream-input`, POST `/v1/text-to-speech/{voice}` with
    `/stream` and `/with-timestamps`, GET `/v1/voices`. Its WebSockets check their keys themselves:
    clients may send it in the first message."""

    def __init__(self, server: SpeechServer):
        self.server = server

    def routes(self) -> list[BaseRoute]:
        speech = PREFIX + "{voice_id}"
        return [
            WebSocketRoute(f"{speech}/multi-stream-input", self.speak_contexts),
            WebSocketRoute(f"{speech}/stream-input", self.speak_context),
            Route(speech, self._speak(stream_response), methods=["POST"]),
            Route(f"{speech}/stream", self._speak(stream_response), methods=["POST"]),
            Route(f"{speech}/with-timestamps", self._speak(timed_response), methods=["POST"]),
            Route(f"{speech}/stream/with-timestamps", self._speak(timed_stream_response),
                  methods=["POST"]),
            Route("/v1/voices", self.list_voices),
            Route("/v2/voices", self.search_voices),
            Route("/v1/voices/{voice_id}", self.get_voice),
        ]

    async def speak_contexts(self, socket: WebSocket) -> None:
        """Several contexts on one connection."""
        await self._serve(socket, is_single=False)

    async def speak_context(self, socket: WebSocket) -> None:
        """One context, which an empty text ends."""
        await self._serve(socket, is_single=True)

    async def list_voices(self, request: Request) -> Response:
        """All of them."""
        return JSONResponse({"voices": self._voices()})

    async def search_voices(self, request: Request) -> Response:
        """Those whose names contain `search`."""
        search = request.query_params.get("search", "").lower()
        voices = [voice for voice in self._voices() if search in voice["name"].lower()]
        return JSONResponse({"voices": voices, "has_more": False, "total_count": len(voices),
                             "next_page_token": None})

    async def get_voice(self, request: Request) -> Response:
        """One of them."""
        name = request.path_params["voice_id"]
        for voice in self._voices():
            if voice["voice_id"] == name:
                return JSONResponse(voice)
        error = VoiceError(f"There is no voice named {quoted(name)}.", code="unknown_voice")
        return error_response(error)

    def _voices(self) -> list[dict[str, Any]]:
        return [{"voice_id": voice.id, "name": voice.name,
                 "category": CATEGORIES.get(voice.kind, "premade"), "labels": {}}
                for voice in self.server.voices.list()]

    def _speak(self, respond: Respond) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request, body: dict[str, Any]) -> Response:
            return await respond(await start_speech(request, body, self.server))

        async def speak(request: Request) -> Response:
            try:
                body = await read_body(request)
                return await unless_disconnected(request, answer(request, body))
            except SparkTTSError as error:
                return error_response(error)

        return speak

    async def _serve(self, socket: WebSocket, is_single: bool) -> None:
        await socket.accept()
        try:
            options = parse_options(socket.query_params)
            voice = await self.server.voices.find(socket.path_params["voice_id"],
                                                  self.server.speech)
            session = Session(socket, self.server, voice, options, is_single,
                              self._has_key(socket))
        except SparkTTSError as error:
            return await refuse_first_message(socket, error)
        try:
            await session.run()
        except Exception as error:
            log_error(f"WebSocket {quoted(socket.url.path)}", error)
            await refuse(socket, error)

    def _has_key(self, socket: WebSocket) -> bool:
        """Whether the key is in a header or in the address, if one is needed."""
        if socket.scope.get("state", {}).get(KEY_ID):
            return True
        keys = [socket.query_params.get(name, "") for name in KEY_PARAMETERS]
        return any(is_valid_key(key.removeprefix("Bearer ").strip(), self.server)
                   for key in ("", *keys))


def error_response(error: SparkTTSError) -> Response:
    """An error in ElevenLabs' form."""
    status = 404 if error.code == "unknown_voice" else http_status(error)
    kind = KINDS.get(status, "server_error")
    return JSONResponse(error_detail(error, kind), status, retry_headers(status))


def refusal(scope: Scope, status: int, message: str, headers: Mapping[str, str]) -> Response:
    """A refusal of middleware in ElevenLabs' form."""
    code = {401: "invalid_api_key", 413: "request_too_large", 429: "system_busy"}.get(status)
    error = InputError(message, code=code or "invalid_request")
    kind = KINDS.get(status, "validation_error" if status < 500 else "server_error")
    return JSONResponse(error_detail(error, kind), status, dict(headers))
