"""Plain HTTP beside the page: `POST /api` as F5-TTS's older server had it, `/tts` as ChatTTS-ui has it, and the live stream.

What is not audio is JSON. A client that hangs up frees its place in the engine.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import anyio
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from sparktts_ms.audio.time_stretch import change_speed
from sparktts_ms.audio.wav import WavStream, encode_wav
from sparktts_ms.errors import InputError, SparkTTSError
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.voice import Speech
from sparktts_ms.web.sessions import Speaker
from sparktts_ms.web.voice_store import Shelf

logger = logging.getLogger("sparktts_ms")

SPEAKING = ("/api", "/tts")
USUAL_VOICE = 2222                      # of ChatTTS-ui, when a client names none
CONTROLS = re.compile(r"\[(uv_break|lbreak|laugh|(oral|laugh|break|speed)_\d+)\]")      # ChatTTS's, which are not to be spoken
POLL = 0.1                              # seconds between looks at whether the client is still there
Result = TypeVar("Result")


class Routes:
    """`shelf` is where a voice that /tts asks for by name is looked up."""

    def __init__(self, speaker: Speaker, shelf: Shelf | None):
        self.speaker, self.shelf = speaker, shelf
        self._busy = anyio.CapacityLimiter(speaker.limits.waiting)

    def routes(self) -> list[Route]:
        return [Route("/api", self.api, methods=["POST"]), Route("/tts", self.tts, methods=["GET", "POST"]),
                Route("/static/wavs/{folder}/{name}", self.wav), Route("/live/{token}", self.live)]

    async def api(self, request: Request) -> Response:
        """Multipart: file `audio`; ref_text, gen_text, model (ignored), speed. Answers wav bytes, or 400 {"error"}."""
        try:
            async with request.form(max_files=1, max_fields=20) as form:
                audio = form.get("audio")
                text, speed = _field(form, "gen_text"), _number(_field(form, "speed", "1"), "speed", float)
                if not isinstance(audio, UploadFile) or not text:
                    raise InputError(f"The form lacks {'gen_text' if isinstance(audio, UploadFile) else 'the file audio'}; "
                                     "send audio, gen_text, and ref_text if it is known.")
                recording = await self._received(audio)
            try:
                def speak(owner: str) -> Speech:
                    return self.speaker.say(owner, text, self.speaker.encode(recording, _field(form, "ref_text")))
                speech = await self._while_there(request, speak)
            finally:
                _forget(recording)
            samples = await anyio.to_thread.run_sync(change_speed, speech.samples, speed, speech.sample_rate)
            return Response(encode_wav(samples, speech.sample_rate), media_type="audio/wav")
        except (SparkTTSError, CancelledError) as problem:
            return JSONResponse({"error": str(problem) or "cancelled"}, 400)

    async def tts(self, request: Request) -> Response:
        """Query or form: text, voice (a number, or a saved voice's name), custom_voice, temperature, top_p, top_k; prompt,
        skip_refine and is_split are ChatTTS's own and do nothing here. Answers {"code", "msg", ...} as ChatTTS-ui does."""
        began = time.perf_counter()
        try:
            async with request.form(max_files=1, max_fields=50) as form:
                given = {**{k: v for k, v in form.items() if isinstance(v, str)}, **request.query_params}
            text = CONTROLS.sub(" ", given.get("text", "")).strip()
            if not text:
                return JSONResponse({"code": 1, "msg": "There is no text; send the field text."})
            sampling = Sampling(temperature=_number(given.get("temperature", "0.3"), "temperature", float),
                                top_p=_number(given.get("top_p", "0.7"), "top_p", float),
                                top_k=_number(given.get("top_k", "20"), "top_k", int))
            speech = await self._while_there(request, lambda owner: self._numbered(given, text, sampling, owner))
            path = await anyio.to_thread.run_sync(self.speaker.write, speech.samples, f"{time.strftime('%H%M%S')}.wav")
        except (SparkTTSError, CancelledError) as problem:
            return JSONResponse({"code": 1, "msg": str(problem) or "cancelled"})
        url = str(request.url_for("wav", folder=path.parent.name, name=path.name))
        name = f"{path.parent.name}/{path.name}"
        entry = {"filename": name, "url": url, "inference_time": round(time.perf_counter() - began, 2),
                 "audio_duration": round(speech.seconds, 2)}
        return JSONResponse({"code": 0, "msg": "ok", "audio_files": [entry], "filename": name, "url": url})

    async def wav(self, request: Request) -> Response:
        """What /tts made, for as long as the workspace keeps it."""
        folder, name = request.path_params["folder"], request.path_params["name"]
        path = self.speaker.workspace.folder / folder / name
        if not re.fullmatch(r"[0-9a-f]{32}", folder) or not re.fullmatch(r"\d{6}\.wav", name) or not path.is_file():
            return JSONResponse({"error": "There is no such file; speech is kept for an hour."}, 404)
        return FileResponse(path, media_type="audio/wav")

    async def live(self, request: Request) -> Response:
        """A take as a wav while it is being made; only who asked for it knows its token."""
        take = self.speaker.take(request.path_params["token"])
        if take is None:
            return JSONResponse({"error": "Nothing is being said here any more."}, 404)

        async def sound() -> AsyncIterator[bytes]:
            piece = BytesIO()
            writer, heard = WavStream(piece, take.sample_rate, wav=True), 0
            while True:
                over = take.over                # before looking at the chunks, so that none that came last is missed
                for samples in take.chunks[heard:]:
                    writer.write(samples)
                    heard += 1
                if piece.tell():
                    yield piece.getvalue()
                    piece.seek(0)
                    piece.truncate()
                elif over:
                    return
                else:
                    await asyncio.sleep(POLL / 2)
        return StreamingResponse(sound(), media_type="audio/wav",
                                 headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    def _numbered(self, given: dict[str, Any], text: str, sampling: Sampling, owner: str) -> Speech:
        custom, name = given.get("custom_voice", ""), given.get("voice", "").strip()
        if self.shelf is not None and not _is_whole(name) and name in self.shelf.names():
            return self.speaker.say(owner, text, self.shelf.load(name), sampling)
        number = int(custom) if _is_whole(custom) and int(custom) > 0 else int(name) if _is_whole(name) else USUAL_VOICE
        sampling = Sampling(sampling.temperature, sampling.top_k, sampling.top_p, seed=abs(number))
        return self.speaker.say(owner, text, self.speaker.numbered_voice(number, owner), sampling)

    async def _while_there(self, request: Request, work: Callable[[str], Result]) -> Result:
        """What `work` returns, unless the client hangs up: then all that was asked for in its name is given up."""
        owner = secrets.token_hex(8)
        task = asyncio.ensure_future(anyio.to_thread.run_sync(work, owner, limiter=self._busy))
        while not (await asyncio.wait([task], timeout=POLL))[0]:
            if await request.is_disconnected():
                self.speaker.drop(owner)
        try:
            return task.result()
        except (SparkTTSError, CancelledError):
            raise
        except Exception:
            logger.exception("A request failed.")
            raise InputError("The engine failed; the server's log says why. Try again.") from None

    async def _received(self, audio: UploadFile) -> Path:
        """An upload as a file of ours; the name its sender gave it is not used."""
        content, path = await audio.read(), self.speaker.workspace.new("audio")
        try:
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
        except OSError as problem:
            _forget(path)
            raise InputError(f"The recording cannot be stored here: {problem.strerror}.") from None
        return path


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        path.parent.rmdir()


def _field(form: FormData, name: str, otherwise: str = "") -> str:
    value = form.get(name)
    return value.strip() if isinstance(value, str) and value.strip() else otherwise


def _number(text: str, name: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"{name} is {text[:20]!r}; it must be a number.") from None


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"-?\d{1,18}", text.strip()) is not None
