"""One WebSocket: messages change contexts, and a task of each context speaks its clauses.

    client -> reader -> events -> Session -> Contexts -> Speaker -> AsyncService -> client

Clauses are in the engine while earlier ones are sent. A client that reads slowly delays its own
contexts only, and what it has not read is bounded: two clauses of a context, and what it may send
as text. When it is gone, everything of it is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from enum import Enum

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from sparktts_ms.errors import InputError, NoSpeech, SparkTTSError
from sparktts_ms.generation.utterance import trailing_silence
from sparktts_ms.serving.elevenlabs.alignment import align
from sparktts_ms.serving.elevenlabs.context import Context, ContextLimits, Contexts
from sparktts_ms.serving.elevenlabs.formats import Encoder
from sparktts_ms.serving.elevenlabs.messages import (
    NORMAL,
    SERVICE_RESTART,
    Message,
    audio_message,
    close_code,
    error_message,
    error_text,
    final_message,
    parse_message,
)
from sparktts_ms.serving.elevenlabs.options import SpeechOptions
from sparktts_ms.serving.elevenlabs.text_buffer import Clause
from sparktts_ms.serving.middleware.api_key import KnownKeys
from sparktts_ms.serving.middleware.errors import log_error
from sparktts_ms.serving.server import SpeechServer
from sparktts_ms.serving.speech_stream import SpeechStream
from sparktts_ms.voice import Voice

logger = logging.getLogger("sparktts_ms.serving")

KEY_SECONDS = 10.0          # to a first message that holds the key
FIRST_SECONDS = 5.0         # to the first message of a connection that is refused
SEND_SECONDS = 60.0         # for a message to be read
CLOSE_SECONDS = 2.0
BUSY_SECONDS = 10.0         # during which a clause is submitted again if too many requests wait
BUSY_INTERVAL = 0.25
MAX_REASON = 120            # bytes of a close frame's reason
MAX_EVENTS = 64             # messages that wait to be looked at


class Event(Enum):
    """What a session waits for besides messages."""

    SPEAKER_ENDED = 1
    CLIENT_GONE = 2
    DRAINING = 3


class Session:
    """Serves one WebSocket that has been accepted. `run` returns when it is closed.

    is_single: the protocol of one context. has_key: False if the first message must hold the key.
    """

    def __init__(self, socket: WebSocket, server: SpeechServer, voice: Voice,
                 options: SpeechOptions, is_single: bool = False, has_key: bool = True):
        self.server = server
        self.voice = voice
        self.options = options
        self.is_single = is_single
        self.sample_rate = server.speech.sample_rate
        now = time.monotonic()
        limits = ContextLimits(text=server.settings.limits.text, inactivity=options.inactivity)
        self.contexts = Contexts(limits, now, options.auto_mode, is_single)
        self._key_deadline = math.inf if has_key else now + KEY_SECONDS
        self._socket = socket
        self._events: asyncio.Queue[str | Event] = asyncio.Queue(MAX_EVENTS)
        self._speakers: dict[Context, Speaker] = {}
        self._is_draining = False
        self._is_gone = False               # the client has left, or does not read

    async def run(self) -> None:
        """Serve until the client leaves, an error ends the connection, or the server stops."""
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._watch_drain())]
        try:
            code, reason = await self._serve()
            await self._close(code, reason)
        except SparkTTSError as error:
            await self._end_speakers()
            await refuse(self._socket, error)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(self._end_speakers(), *tasks, return_exceptions=True)

    async def send(self, message: str) -> None:
        """Raises WebSocketDisconnect. A client that does not read is disconnected."""
        timer = asyncio.get_running_loop().call_later(SEND_SECONDS, self._give_up)
        try:
            await self._socket.send_text(message)
        except RuntimeError:                    # it has been closed
            raise WebSocketDisconnect from None
        finally:
            timer.cancel()

    async def submit(self, clause: Clause) -> SpeechStream:
        """Start a clause; while the server is busy, try again. Raises SparkTTSError."""
        request = self.options.request(clause.text, self.voice)
        end = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return await self.server.speech.submit(request, api="elevenlabs")
            except InputError as error:
                if error.code != "busy" or time.monotonic() > end:
                    raise
            await asyncio.sleep(BUSY_INTERVAL)

    def advance(self, *contexts: Context) -> None:
        """Start what contexts can start, and let them end if they can."""
        for context in contexts:
            if context not in self._speakers:
                self._speakers[context] = Speaker(self, context)
            self._speakers[context].advance()

    def note_end(self, speaker: Speaker) -> None:
        """A speaker has sent its last message."""
        self._speakers.pop(speaker.context, None)
        if self._is_gone:
            return
        self.advance(*self.contexts)            # one may have waited for it
        with contextlib.suppress(asyncio.QueueFull):        # the session is awake then
            self._events.put_nowait(Event.SPEAKER_ENDED)

    async def _serve(self) -> tuple[int, str]:
        """Returns code and reason with which to close."""
        while not self._is_gone:
            if not self._speakers and self.contexts.is_closing:
                return NORMAL, ""
            if not self._speakers and self._is_draining:
                return SERVICE_RESTART, "The server is shutting down."
            deadline = min(self._key_deadline, self.contexts.deadline())
            try:
                event = await asyncio.wait_for(self._events.get(), seconds_until(deadline))
            except (asyncio.TimeoutError, TimeoutError):
                self._expire(time.monotonic())
                continue
            if isinstance(event, str):
                self._receive(parse_message(event), time.monotonic())
            elif event is Event.DRAINING:
                self._is_draining = True
                for context in self.contexts:
                    context.finish(time.monotonic())
                self.advance(*self._speakers)
        return NORMAL, ""

    def _receive(self, message: Message, now: float) -> None:
        if self._key_deadline < math.inf:
            if not is_valid_key(message.api_key or "", self.server):
                raise no_key()
            self._key_deadline = math.inf
        context = self.contexts.receive(message, now)
        if context is not None:
            self.advance(context)
        elif self.contexts.is_closing:
            self.advance(*self._speakers)

    def _expire(self, now: float) -> None:
        if now >= self._key_deadline:
            raise no_key()
        if self.contexts.is_expired(now):
            raise InputError(
                f"No text has come for {self.options.inactivity:g} seconds.",
                'Send {"text": " "} in time to keep the connection, or open another one.',
                code="input_timeout_exceeded")
        self.advance(*self.contexts.expire(now))

    async def _read(self) -> None:
        """Messages of the client as events, until it is gone."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                received = await self._socket.receive()
                if received["type"] == "websocket.disconnect":
                    break
                data = received.get("text")
                if data is None:
                    data = (received.get("bytes") or b"").decode("utf-8", "replace")
                await self._events.put(data)
        self._give_up()

    async def _watch_drain(self) -> None:
        await self.server.speech.until_draining()
        await self._events.put(Event.DRAINING)

    def _give_up(self) -> None:
        """The client has left, or does not read."""
        self._is_gone = True
        for speaker in list(self._speakers.values()):
            speaker.task.cancel()
        with contextlib.suppress(asyncio.QueueFull):        # the session is awake then
            self._events.put_nowait(Event.CLIENT_GONE)

    async def _end_speakers(self) -> None:
        """End all speakers; nothing of them is sent afterwards."""
        self._is_gone = True
        speakers = list(self._speakers.values())
        for speaker in speakers:
            speaker.task.cancel()
        await asyncio.gather(*(speaker.task for speaker in speakers), return_exceptions=True)
        for speaker in speakers:
            speaker.discard()

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, asyncio.TimeoutError,
                                 TimeoutError):
            await asyncio.wait_for(self._socket.close(code, reason), CLOSE_SECONDS)


class Speaker:
    """Speaks the clauses of one context in their order, then tells that nothing follows."""

    def __init__(self, session: Session, context: Context):
        self.session = session
        self.context = context
        self.context_id = None if session.is_single else context.id
        self._submitted: asyncio.Queue[tuple[Clause, asyncio.Task] | None] = asyncio.Queue()
        self._encoder: Encoder | None = None
        self._silence = 0               # samples, at the end of what has been sent
        self._has_spoken = False
        self._error: SparkTTSError | None = None        # of a clause that was left out
        self._is_ending = False
        self._has_begun = False
        self.task = asyncio.create_task(self._run())

    def advance(self) -> None:
        """Submit what may be submitted; stop, or end, if the context does."""
        while (clause := self.context.next_clause()) is not None:
            task = asyncio.create_task(self.session.submit(clause))
            self._submitted.put_nowait((clause, task))
        if self.context.is_final and not self._is_ending:
            self._is_ending = True
            if self.context.is_stopped and self._has_begun:
                self.task.cancel()
            else:
                self._submitted.put_nowait(None)

    async def _run(self) -> None:
        self._has_begun = True
        try:
            try:
                await self._speak_all()
            except asyncio.CancelledError:
                if not self.context.is_stopped:
                    raise                       # the connection ends
            except WebSocketDisconnect:
                raise
            except Exception as error:
                self._is_ending = True
                self.context.stop()
                if not isinstance(error, SparkTTSError):
                    log_error(f"Context {self.context.id[:80]!r}", error)
                await self.session.send(error_message(error, self.context_id))
            self.discard()
            await self.session.send(final_message(self.context_id))
        except WebSocketDisconnect:             # the session ends, too
            pass
        finally:
            self.discard()
            self.context.stop()
            self.session.note_end(self)

    async def _speak_all(self) -> None:
        while (submitted := await self._submitted.get()) is not None:
            if self.context.is_stopped:
                submitted[1].cancel()
                return
            clause, task = submitted
            try:
                async with await _started(task) as stream:
                    await self._speak(clause, stream)
                self._has_spoken = True
            except (NoSpeech, InputError) as error:
                if isinstance(error, InputError) and error.code != "no_text":
                    raise
                logger.warning("A clause is left out: %s", error)
                self._error = error
            self.session.contexts.note_spoken(self.context, time.monotonic())
            self.advance()
        if self._error is not None and not self._has_spoken:
            raise self._error
        await self._send(self._finish_encoder())

    async def _speak(self, clause: Clause, stream: SpeechStream) -> None:
        rate = self.session.sample_rate
        pause = max(0, int(clause.pause * rate) - self._silence) if self._has_spoken else 0
        num_samples = 0
        async for samples in stream:
            num_samples += len(samples)
            self._silence = trailing_silence(samples, self._silence)
            if pause and num_samples == len(samples):
                samples = np.concatenate([np.zeros(pause, np.float32), samples])
            await self._send(self._encode(samples))
        rest = b""
        if clause.is_last and self.session.options.output.can_restart:
            rest = self._finish_encoder()
        text = (clause.gap and " ") + clause.text + clause.tail
        scale = 1 / (rate * self.context.speed)
        alignment = align(text, pause * scale, (pause + num_samples) * scale)
        await self._send(rest, alignment.by_start())

    def _encode(self, samples: np.ndarray) -> bytes:
        if self._encoder is None:
            self._encoder = self.session.options.output.encoder(
                self.session.sample_rate, self.context.speed)
        return self._encoder.encode(samples)

    def _finish_encoder(self) -> bytes:
        encoder, self._encoder = self._encoder, None
        return b"" if encoder is None else encoder.finish()

    async def _send(self, audio: bytes, alignment: dict | None = None) -> None:
        if (audio or alignment) and not self.context.is_stopped:
            await self.session.send(audio_message(audio, self.context_id, alignment))
            is_first = not self.context.is_audible
            self.context.note_audio()
            if is_first:
                self.advance()

    def discard(self) -> None:
        """Cancel what was submitted and is not spoken."""
        while not self._submitted.empty():
            submitted = self._submitted.get_nowait()
            if submitted is not None:
                task = submitted[1]
                task.cancel()
                task.add_done_callback(_end_stream)


async def _started(task: asyncio.Task) -> SpeechStream:
    """The stream that a task has submitted. Who is cancelled when it is there, and has not taken
    it yet, ends it."""
    try:
        return await task
    except asyncio.CancelledError:
        task.add_done_callback(_end_stream)
        raise


def _end_stream(task: asyncio.Task) -> None:
    """Cancel a stream that nobody reads."""
    if not task.cancelled() and task.exception() is None:
        task.result().end()


async def refuse(socket: WebSocket, error: BaseException) -> None:
    """Tell a client what is wrong, and close."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, asyncio.TimeoutError, TimeoutError):
        await asyncio.wait_for(socket.send_text(error_message(error)), CLOSE_SECONDS)
        reason = error_text(error).encode()[:MAX_REASON].decode(errors="ignore")
        await asyncio.wait_for(socket.close(close_code(error), reason), CLOSE_SECONDS)


async def refuse_first_message(socket: WebSocket, error: BaseException) -> None:
    """Answer a client's first message with an error, and close: some clients wait for ever if the
    connection ends before they have sent anything."""
    with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
        received = await asyncio.wait_for(socket.receive(), FIRST_SECONDS)
        if received["type"] == "websocket.disconnect":
            return
    await refuse(socket, error)


def no_key() -> InputError:
    """What a client without a valid key is told."""
    return InputError("The API key is missing or wrong.", "Send it in the header xi-api-key.",
                      code="invalid_api_key")


def seconds_until(deadline: float) -> float | None:
    """None for ever."""
    return None if deadline == math.inf else max(0.0, deadline - time.monotonic())


def is_valid_key(key: str, server: SpeechServer) -> bool:
    """Whether a key is one of the server's, or it needs none; in constant time."""
    keys = KnownKeys(server.settings.api_keys)
    return not keys or bool(keys.find(key.encode("utf-8", "replace")))
