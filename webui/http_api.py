"""Plain HTTP: `POST /api` as F5-TTS's former server, `/tts` as ChatTTS-ui, and the live stream.

Everything but audio is JSON. A client that disconnects cancels its request.
"""

from __future__ import annotations

import asyncio
import math
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import anyio
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route
from starlette.types import Scope

from sparktts_ms import Sampling, SpeechRequest, Voice
from sparktts_ms.audio.time_stretch import change_speed
from sparktts_ms.audio.wav import WavStream, encode_wav
from sparktts_ms.errors import InputError, SparkTTSError
from sparktts_ms.generation.request import check_text
from sparktts_ms.service import Job
from sparktts_ms.serving.middleware.errors import log_error, quoted
from sparktts_ms.serving.middleware.hosts import host_name, is_loopback
from sparktts_ms.serving.middleware.routes import route_path
from sparktts_ms.serving.voices.store import Voices
from webui.i18n import error_message
from webui.sessions import Sessions

SYNTHESIS_PATHS = ("/api", "/tts")
UPLOAD_PATH = "/gradio_api/upload"
UPLOAD_PROGRESS_PATH = "/gradio_api/upload_progress"
FORM_OVERHEAD = 128 << 10       # bytes of an upload's form besides the file
MAX_FILES = 10                  # of an upload
RETRY_AFTER = 30                # seconds
DEFAULT_VOICE = 2222            # of ChatTTS-ui, when a client names none
MAX_LISTED_VOICES = 20
# ChatTTS's control marks, which are not read aloud.
CONTROL_MARKS = re.compile(r"\[(uv_break|lbreak|laugh|(oral|laugh|break|speed)_\d+)\]")
POLL_SECONDS = 0.1              # how often to look whether the client is still connected
PROGRESS_SECONDS = 3.0          # how long an upload's progress is awaited before its beginning

class HttpApi:
    """voices: the saved voices that a request's /tts finds by name, or None. address: of the
    server as its clients know it; empty: as a request says."""

    def __init__(self, sessions: Sessions, voices: Callable[[Scope], Voices | None],
                 address: str = ""):
        self.sessions = sessions
        self.address = address.rstrip("/")
        self.voices = voices
        self._threads = anyio.CapacityLimiter(sessions.limits.requests)
        self._arriving: set[str] = set()        # ids of uploads

    def routes(self) -> list[Route]:
        return [
            Route("/api", self.api, methods=["POST"]),
            Route("/tts", self.tts, methods=["GET", "POST"]),
            Route("/static/wavs/{folder}/{name}", self.wav),
            Route("/live/{token}", self.live),
            Route(UPLOAD_PATH, self.upload, methods=["POST"]),
            Route(UPLOAD_PROGRESS_PATH, self.upload_progress),
        ]

    async def api(self, request: Request) -> Response:
        """Multipart form: file `audio`; fields gen_text, ref_text, speed (model is ignored).
        Responds with wav bytes, or status 400 and {"error"}."""
        try:
            with self._reserved(request):
                async with request.form(max_files=1, max_fields=20) as form:
                    audio = form.get("audio")
                    if not isinstance(audio, UploadFile):
                        raise InputError("The form needs the file audio.")
                    if (audio.size or 0) > self.sessions.limits.upload:
                        return self._too_large(request)
                    work = partial(self._api_wav, _text_fields(form), audio.file)
                    wav = await self._run(request, work)
            return Response(wav, media_type="audio/wav")
        except (SparkTTSError, CancelledError) as error:
            return self._error(request, error)

    async def tts(self, request: Request) -> Response:
        """Query or form: text, voice (a seed, or a saved voice's name), custom_voice (a seed),
        temperature, top_p, top_k. Responds with {"code", "msg", ...} as ChatTTS-ui; its `filename`
        is a path for clients on this machine."""
        start = time.perf_counter()
        try:
            async with request.form(max_files=1, max_fields=50) as form:
                fields = {**_text_fields(form), **request.query_params}
            work = partial(self._tts_file, fields, self.voices(request.scope))
            path, seconds = await self._run(request, work)
        except (SparkTTSError, CancelledError) as error:
            return self._error(request, error)
        folder, name = path.parent.name, path.name
        url = str(request.url_for("wav", folder=folder, name=name))
        if self.address:
            url = f"{self.address}/static/wavs/{folder}/{name}"
        file = {"filename": str(path) if _is_local(request) else f"{folder}/{name}", "url": url}
        times = {"inference_time": round(time.perf_counter() - start, 2),
                 "audio_duration": round(seconds, 2)}
        return JSONResponse({"code": 0, "msg": "ok", "audio_files": [{**file, **times}], **file})

    async def upload(self, request: Request) -> Response:
        """Multipart form with the files `files`, as Gradio's own; responds with their paths."""
        upload_id = request.query_params.get("upload_id", "")
        visitor = visitor_address(request)
        uploads = self.sessions.uploads
        paths = []
        self._arriving.add(upload_id)
        try:
            with self._reserved(request):
                async with request.form(max_files=MAX_FILES, max_fields=MAX_FILES) as form:
                    files = [file for file in form.getlist("files") if isinstance(file, UploadFile)]
                    for file in files:
                        if (file.size or 0) > self.sessions.limits.upload:
                            return self._too_large(request)
                    for file in files:
                        keep = partial(uploads.keep, visitor, file.file, file.filename or "")
                        paths.append(str(await anyio.to_thread.run_sync(keep)))
            if not paths:
                raise InputError("The form needs files.")
            return JSONResponse(paths)
        except SparkTTSError as error:
            return self._error(request, error)
        finally:
            self._arriving.discard(upload_id)

    async def upload_progress(self, request: Request) -> Response:
        """Ends when the upload has ended; Gradio's page waits for it."""
        upload_id = request.query_params.get("upload_id", "")

        async def events() -> AsyncIterator[str]:
            start = time.monotonic()
            while upload_id not in self._arriving and time.monotonic() < start + PROGRESS_SECONDS:
                await asyncio.sleep(POLL_SECONDS)
            while upload_id in self._arriving:
                await asyncio.sleep(POLL_SECONDS)
            yield 'data: {"msg": "done"}\n\n'

        return StreamingResponse(events(), media_type="text/event-stream")

    def _reserved(self, request: Request) -> AbstractContextManager[None]:
        """Room for what the request uploads. Raises InputError."""
        length = request.headers.get("content-length", "")
        limit = self.sessions.limits.upload
        num_bytes = min(int(length), limit) if length.isdecimal() else limit
        return self.sessions.uploads.reserve(visitor_address(request), num_bytes)

    def _too_large(self, request: Request) -> Response:
        message = f"A recording has at most {self.sessions.limits.upload >> 20} MB."
        return refusal(request.scope, 413, message, {})

    @staticmethod
    def _error(request: Request, error: Exception) -> Response:
        message = error_message(error) or "cancelled"
        if getattr(error, "code", None) == "busy":
            return refusal(request.scope, 429, message, {"Retry-After": str(RETRY_AFTER)})
        status = 200 if route_path(request.scope) == "/tts" else 400
        return refusal(request.scope, status, message, {})

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

    def _api_wav(self, fields: Mapping[str, str], audio: BinaryIO, session_id: str) -> bytes:
        text = check_text(fields.get("gen_text", ""))
        speed = _parse_number(fields, "speed", 1.0)
        if not (math.isfinite(speed) and speed > 0):
            raise InputError(f"speed is {speed}; it must be above 0.")
        recording = self.sessions.temp_files.write("audio", audio)
        try:
            voice = self.sessions.encode_voice(recording, fields.get("ref_text"))
        finally:
            self.sessions.temp_files.remove(recording)
        speech = self.sessions.synthesize(session_id, SpeechRequest(text, voice))
        samples = change_speed(speech.samples, speed, speech.sample_rate)
        return encode_wav(samples, speech.sample_rate)

    def _tts_file(self, fields: Mapping[str, str], voices: Voices | None,
                  session_id: str) -> tuple[Path, float]:
        """A wav file and its seconds."""
        text = check_text(CONTROL_MARKS.sub(" ", fields.get("text", "")))
        sampling = Sampling(_parse_number(fields, "temperature", 0.3),
                            _parse_number(fields, "top_k", 20), _parse_number(fields, "top_p", 0.7))
        voice, seed = self._tts_voice(fields, voices)
        if seed is not None:
            sampling = replace(sampling, seed=seed)
        request = SpeechRequest(text, voice, sampling=sampling)
        speech = self.sessions.synthesize(session_id, request)
        path = self.sessions.write_wav(speech.samples, f"{time.strftime('%H%M%S')}.wav")
        return path, speech.seconds

    def _tts_voice(self, fields: Mapping[str, str],
                   voices: Voices | None) -> tuple[Voice, int | None]:
        """The voice that a request names, and the seed that made it. Raises InputError."""
        name = fields.get("voice", "").strip()
        custom = fields.get("custom_voice", "")
        names = voices.names() if voices is not None else []
        if _is_integer(custom) and int(custom) > 0:
            seed = int(custom)
        elif _is_integer(name) or not name:
            seed = abs(int(name or DEFAULT_VOICE))
        elif voices is not None and name in names:
            return voices.load(name), None
        else:
            listed = ", ".join(names[:MAX_LISTED_VOICES])
            saved = f"Saved voices: {listed}." if listed else "No voices are saved."
            raise InputError(f"There is no voice named {quoted(name)}.",
                             f"{saved} A number, such as {DEFAULT_VOICE}, makes a voice.")
        return self.sessions.voice_from_seed(seed), seed

    async def _run(self, request: Request, work: Callable[[str], Any]) -> Any:
        """Run `work(session_id)` in a thread; cancel it if the client disconnects."""
        session_id = secrets.token_hex(8)
        thread = anyio.to_thread.run_sync(work, session_id, limiter=self._threads)
        task = asyncio.ensure_future(thread)
        try:
            while not (await asyncio.wait([task], timeout=POLL_SECONDS))[0]:
                if await request.is_disconnected():
                    self.sessions.cancel(session_id)
        except BaseException:
            self.sessions.cancel(session_id)
            raise
        try:
            return task.result()
        except (SparkTTSError, CancelledError):
            raise
        except Exception as error:
            log_error("A request", error)
            raise InputError("The server failed; its log has the details.", "Try again.") from None


def refusal(scope: Scope, status: int, message: str, headers: Mapping[str, str]) -> Response:
    """A refusal or error in the form that the path's clients read."""
    path = route_path(scope)
    if path == UPLOAD_PATH:
        return PlainTextResponse(message, status, dict(headers))
    content = {"code": 1, "msg": message} if path == "/tts" else {"error": message}
    return JSONResponse(content, status, dict(headers))


def visitor_address(request: Request) -> str:
    """Whose request it is, as far as the server can tell without a key."""
    return request.client.host if request.client is not None else ""


def _is_local(request: Request) -> bool:
    """Whether the client is on this machine, and has not come through a proxy that says so."""
    headers = request.headers
    if any(name in headers for name in ("forwarded", "x-forwarded-for", "x-forwarded-host")):
        return False
    return is_loopback(visitor_address(request)) and is_loopback(host_name(headers.get("host", "")))


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
