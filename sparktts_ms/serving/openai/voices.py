"""Lists, adds and deletes voices, and records consents.

The list has the form of Kokoro-FastAPI, which Open WebUI reads. One route adds voices for OpenAI's
clients and for those of vLLM-Omni: the response has the fields of both. Voices that are added
belong to everybody who may use the server.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sparktts_ms.errors import VoiceError
from sparktts_ms.serving.openai.consents import PREFIX, ConsentStore
from sparktts_ms.serving.openai.errors import FieldError, about
from sparktts_ms.serving.openai.uploads import uploaded
from sparktts_ms.serving.server import SpeechServer
from sparktts_ms.serving.voices.library import SAVED, VoiceInfo

MAX_TEXT = 500              # characters of a name, a consent or a language; more are refused
MAX_DESCRIPTION = 2000


class VoicesApi:
    """Of one server. The methods raise SparkTTSError."""

    def __init__(self, server: SpeechServer):
        self.server = server
        store = server.voices.store
        self.consents = None if store is None else ConsentStore(store.folder)

    async def list(self, request: Request) -> Response:
        """{"voices": [{"id", "name", …}, …]}."""
        voices = await self.server.speech.run(self.server.voices.list)
        return JSONResponse({"voices": [_content(voice) for voice in voices]})

    async def add(self, request: Request) -> Response:
        """A form: name, audio_sample, consent?, ref_text? (its text; speech then continues it), and
        further fields of vLLM-Omni, which are ignored."""
        server = self.server
        limits = server.settings.limits
        run = server.speech.run
        async with uploaded(request, limits.upload) as upload:
            if upload.text("type", MAX_TEXT) == "prompt":
                raise FieldError("type", "A voice cannot be made of a description.",
                                 "Send audio_sample, or generate a voice with gender and pitch.")
            name = upload.required("name", MAX_TEXT)
            with about("name"):
                await run(server.voices.check_new, name)
            consent = upload.text("consent", MAX_TEXT)
            if consent.startswith(PREFIX):
                with about("consent"):
                    await run(self._consents().check, consent)
            transcript = upload.text("ref_text", limits.transcript) or None
            with about("audio_sample"):
                recording = await upload.recording("audio_sample")
                voice = await server.speech.encode_voice(recording, transcript)
        with about("name"):
            info = await run(server.voices.add, name, voice)
        content = _content(info)
        return JSONResponse({**content, "success": True, "voice": {**content, "consent": consent}})

    async def delete(self, request: Request) -> Response:
        """Of a saved voice, by its name or id."""
        name = request.path_params["name"]
        with about("voice"):
            await self.server.speech.run(self.server.voices.delete, name)
        return JSONResponse({"id": name, "object": "audio.voice.deleted", "deleted": True,
                             "success": True})

    async def add_consent(self, request: Request) -> Response:
        """A form: name, language, recording. The recording is checked and not kept."""
        server = self.server
        consents = self._consents()
        async with uploaded(request, server.settings.limits.upload) as upload:
            name = upload.required("name", MAX_TEXT)
            language = upload.required("language", MAX_TEXT)
            await upload.recording("recording")
        consent = await server.speech.run(consents.add, name, language)
        return JSONResponse(vars(consent))

    def _consents(self) -> ConsentStore:
        if self.consents is None:
            raise VoiceError("This server has no folder for voices.",
                             "Its administrator can give it one.", code="no_voice_folder")
        return self.consents


def _content(voice: VoiceInfo) -> dict[str, Any]:
    """A voice as OpenAI describes one. `type` is how a saved one was made."""
    kind = "audio_sample" if voice.kind == SAVED else voice.kind
    return {"id": voice.id, "name": voice.name, "object": "audio.voice", "type": kind,
            "created_at": voice.created_at}
