"""Plain HTTP: `POST /api` as F5-TTS's former server, `/tts` as ChatTTS-ui, and the live stream.

Everything but audio is JSON. A client that disconnects cancels its request.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import anyio
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from sparktts_ms import Sampling, SpeechRequest
from sparktts_ms.audio.time_stretch import change_speed
from sparktts_ms.audio.wav import WavStream, encode_wav
from sparktts_ms.errors import InputError, SparkTTSError
from sparktts_ms.generation.request import check_text
from sparktts_ms.service import Job
from webui.i18n import error_message
from webui.sessions import Sessions
from webui.voice_store import VoiceStore

logger = logging.getLogger("sparktts_ms")

SYNTHESIS_PATHS = ("/api", "/tts")
DEFAULT_VOICE = 2222            # of ChatTTS-ui, when a client names none
# ChatTTS's control marks, which are not read aloud.
CONTROL_MARKS = re.compile(r"\[(uv_break|lbreak|laugh|(oral|laugh|break|speed)_\d+)\]")
POLL_SECONDS = 0.1              # how often to look whether the client is still connected


class HttpApi:
    """voice_store: the saved voices that /tts finds by name; None: there are none."""

    def __init__(self, sessions: Sessions, voice_store: VoiceStore | None):
        self.sessions = sessions
        self.voice_store = voice_store
        self._threads = anyio.CapacityLimiter(sessions.limits.requests)

    def routes(self) -> list[Route]:
        return [
            Route("/api", self.api, methods=["POST"]),
            Route("/tts", self.tts, methods=["GET", "POST"]),
            Route("/static/wavs/{folder}/{name}", self.wav),
            Route("/live/{token}", self.live),
        ]

    async def api(self, request: Request) -> Response:
        """Multipart form: file `audio`; fields gen_text, ref_text, speed (model is ignored).
        Responds with wav bytes, or status 400 and {"error"}."""
        try:
            async with request.form(max_files=1, max_fields=20) as form:
                audio = form.get("audio")
                if not isinstance(audio, UploadFile):
                    raise InputError("The form needs the file audio.")
                work = partial(self._api_wav, _text_fields(form), await audio.read())
            return Response(await self._run(request, work), media_type="audio/wav")
        except (SparkTTSError, CancelledError) as error:
            return JSONResponse({"error": error_message(error) or "cancelled"}, 400)

    async def tts(self, request: Request) -> Response:
        """Query or form: text, voice (a seed, or a saved voice's name), custom_voice (a seed),
        temperature, top_p, top_k. Responds with {"code", "msg", ...} as ChatTTS-ui."""
        start = time.perf_counter()
        try:
            async with request.form(max_files=1, max_fields=50) as form:
                fields = {**_text_fields(form), **request.query_params}
            path, seconds = await self._run(request, partial(self._tts_file, fields))
        except (SparkTTSError, CancelledError) as error:
            return JSONResponse({"code": 1, "msg": error_message(error) or "cancelled"})
        url = str(request.url_for("wav", folder=path.parent.name, name=path.name))
        file = {"filename": f"{path.parent.name}/{path.name}", "url": url}
        times = {"inference_time": round(time.perf_counter() - start, 2),
                 "audio_duration": round(seconds, 2)}
        return JSONResponse({"code": 0, "msg": "ok", "audio_files": [{**file, **times}], **file})

    async def wav(self, request: Request) -> Response:
        """A file that /tts made, until it is removed."""
        name = "{folder}/{name}".format(**request.path_params)
        path = self.sessions.temp_files.folder / name
        if not re.fullmatch(r"[0-9a-f]{32}/\d{6}\.wav", name) or not path.is_file():
            return JSONResponse({"error": "There is no such file; files last an hour."}, 404)
        return FileResponse(path, media_type="audio/wav")

    async def live(self, request: Request) -> Response:
        """A job's wav while it is generated; only the page that submitted it knows the token."""
        job = self.sessions.job(request.path_params["token"])
        if job is None:
            return JSONResponse({"error": "There is no such stream any more."}, 404)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._wav_stream(job), media_type="audio/wav", headers=headers)

    async def _wav_stream(self, job: Job) -> AsyncIterator[bytes]:
        buffer = BytesIO()
        writer = WavStream(buffer, self.sessions.service.sample_rate, wav=True)
        num_written = 0
        while True:
            done = job.done         # read before the chunks: none can follow it
            for samples in job.chunks[num_written:]:
                writer.write(samples)
                num_written += 1
            if buffer.tell():
                yield buffer.getvalue()
                buffer.seek(0)
                buffer.truncate()
            elif done:
                return
            else:
                await asyncio.sleep(POLL_SECONDS / 2)

    def _api_wav(self, fields: Mapping[str, str], content: bytes, session_id: str) -> bytes:
        text = check_text(fields.get("gen_text", ""))
        speed = _parse_number(fields, "speed", 1.0)
        recording = self.sessions.temp_files.write("audio", content)
        try:
            voice = self.sessions.encode_voice(recording, fields.get("ref_text"))
        finally:
            self.sessions.temp_files.remove(recording)
        speech = self.sessions.synthesize(session_id, SpeechRequest(text, voice))
        samples = change_speed(speech.samples, speed, speech.sample_rate)
        return encode_wav(samples, speech.sample_rate)

    def _tts_file(self, fields: Mapping[str, str], session_id: str) -> tuple[Path, float]:
        """A wav file and its seconds."""
        text = check_text(CONTROL_MARKS.sub(" ", fields.get("text", "")))
        sampling = Sampling(_parse_number(fields, "temperature", 0.3),
                            _parse_number(fields, "top_k", 20), _parse_number(fields, "top_p", 0.7))
        name = fields.get("voice", "").strip()
        custom = fields.get("custom_voice", "")
        store = self.voice_store
        if store is not None and not _is_integer(name) and name in store.names():
            voice = store.load(name)
        else:
            seed = int(name) if _is_integer(name) else DEFAULT_VOICE
            if _is_integer(custom) and int(custom) > 0:
                seed = int(custom)
            voice = self.sessions.voice_from_seed(seed)
            sampling = replace(sampling, seed=abs(seed))
        request = SpeechRequest(text, voice, sampling=sampling)
        speech = self.sessions.synthesize(session_id, request)
        path = self.sessions.write_wav(speech.samples, f"{time.strftime('%H%M%S')}.wav")
        return path, speech.seconds

    async def _run(self, request: Request, work: Callable[[str], Any]) -> Any:
        """Run `work(session_id)` in a thread; cancel it if the client disconnects."""
        session_id = secrets.token_hex(8)
        thread = anyio.to_thread.run_sync(work, session_id, limiter=self._threads)
        task = asyncio.ensure_future(thread)
        while not (await asyncio.wait([task], timeout=POLL_SECONDS))[0]:
            if await request.is_disconnected():
                self.sessions.cancel(session_id)
        try:
            return task.result()
        except (SparkTTSError, CancelledError):
            raise
        except Exception:
            logger.exception("A request failed.")
            raise InputError("The server failed; its log has the details.", "Try again.") from None


def _text_fields(form: Mapping[str, Any]) -> dict[str, str]:
    return {name: value.strip() for name, value in form.items() if isinstance(value, str)}


def _parse_number(fields: Mapping[str, str], name: str, default: float) -> Any:
    """The number in a field, of the default's type; the default if the field is empty."""
    text = fields.get(name) or str(default)
    try:
        return type(default)(text)
    except ValueError:
        raise InputError(f"{name} is {text[:20]!r}; it must be a number.") from None


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"-?\d{1,18}", text.strip()) is not None
