"""Event handlers of the page. Errors become notices in the visitor's language."""

from __future__ import annotations

import html
import logging
import secrets
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any

import gradio as gr

from sparktts_ms import Chunks, Sampling, SpeechRequest, Voice
from sparktts_ms.errors import InputError, SparkTTSError
from sparktts_ms.generation.attributes import LEVELS
from sparktts_ms.generation.request import check_text
from sparktts_ms.generation.vocabulary import TOKENS_PER_SECOND
from webui.i18n import TEXTS, error_message
from webui.sessions import MAX_SEED, Sessions
from webui.voice_store import Voices

logger = logging.getLogger("sparktts_ms")

SKIP = gr.skip()            # leaves a component as it is
OUTPUTS = ("status", "player", "audio", "spectrogram", "voice", "generate", "stop")

# What a visitor fills in; the page has a component for each field. `source` is "clone", "create"
# or "saved"; `pitch_hz`, `syllable_rate` and `seed` are texts, since they may stay empty;
# `clone_pitch` and `clone_speed` are levels or "as_recorded".
Form = namedtuple("Form", "text source recording transcript gender pitch pitch_hz speed "
                          "syllable_rate saved_voice temperature top_k top_p max_seconds seed "
                          "clone_pitch clone_speed normalize stream plot")


class Handlers:
    """voice_store: the saved voices of who sent a request."""

    def __init__(self, sessions: Sessions, voice_store: Callable[[gr.Request], Voices]):
        self.sessions = sessions
        self.voice_store = voice_store

    def generate(self, request: gr.Request, language: str, *values: Any) -> Iterator[tuple]:
        """Updates of `OUTPUTS` until the speech is complete. `values` are the fields of `Form`."""
        texts = TEXTS[language]
        started = False
        try:
            for updates in self._generate(texts, Form(*values), request):
                started = True
                yield updates
        except CancelledError:
            yield _updates(texts["stopped"], player="", busy=False)
        except SparkTTSError as error:
            _notify(gr.Warning, error_message(error, language), language)
            yield _updates("", player="" if started else SKIP, busy=False)
        except Exception:
            logger.exception("Generation failed.")
            _notify(gr.Warning, texts["failed"], language)
            yield _updates("", player="", busy=False)

    def _generate(self, texts: dict[str, str], form: Form,
                  visitor: gr.Request) -> Iterator[tuple]:
        session_id = str(visitor.session_hash)
        check_text(form.text or "")
        seed = _parse_number(form.seed, int, "invalid_seed")
        if seed is None:
            seed = secrets.randbelow(MAX_SEED)
        sampling = Sampling(float(form.temperature), int(form.top_k), float(form.top_p),
                            int(form.max_seconds * TOKENS_PER_SECOND), seed=seed)
        start = time.perf_counter()
        status = texts["encoding" if form.source == "clone" else "waiting"]
        yield _updates(status, player="", audio=None, spectrogram=None)
        request = self._speech_request(form, sampling, visitor)
        token = secrets.token_urlsafe(16)
        chunks = Chunks() if form.stream else None
        with self.sessions.submit(session_id, request, chunks, token) as job:
            yield _updates(texts["waiting"], player=f"live/{token}" if form.stream else "")
            for _ in job:
                yield _updates(texts["progress"].format(seconds=job.seconds))
            speech = job.result()
            path = self.sessions.write_wav(speech.samples)
            elapsed = time.perf_counter() - start
            status = texts["finished"].format(seconds=speech.seconds, elapsed=elapsed, seed=seed)
            if not speech.complete:
                status += " " + texts["incomplete"]
            voice = speech.voice if request.voice is None else request.voice
            yield _updates(status, audio=str(path), voice=voice, busy=False)
        if form.plot:
            plot = self.sessions.plot(speech.samples, form.text)
            yield _updates(status, spectrogram=str(plot), busy=False)

    def _speech_request(self, form: Form, sampling: Sampling,
                        visitor: gr.Request) -> SpeechRequest:
        """The request of the selected tab, with its recorded, saved or created voice."""
        normalize = bool(form.normalize)
        if form.source == "create":
            pitch = _parse_number(form.pitch_hz, float, "invalid_number") or form.pitch
            speed = _parse_number(form.syllable_rate, float, "invalid_number") or form.speed
            return SpeechRequest(form.text, None, form.gender, pitch, speed, sampling, normalize)
        if form.source == "saved":
            voice = self.voice_store(visitor).load(_selected(form.saved_voice))
        else:
            voice = self.sessions.encode_voice(form.recording, form.transcript)
        pitch = form.clone_pitch if form.clone_pitch in LEVELS else None
        speed = form.clone_speed if form.clone_speed in LEVELS else None
        return SpeechRequest(form.text, voice, None, pitch, speed, sampling, normalize)

    def cancel(self, request: gr.Request) -> str:
        """Cancel this visitor's requests; returns the player's empty value."""
        self.sessions.cancel(str(request.session_hash))
        return ""

    # These return updates of the list of saved voices; `save_voice` also of the name's field.

    def save_voice(self, language: str, name: str, voice: Voice | None, request: gr.Request):
        with _notices(language):
            if voice is None:
                raise InputError("There is no speech yet.", code="no_generated_voice")
            name = self._store(request).save(name, voice)
            _notify(gr.Info, TEXTS[language]["voice_saved"].format(name=name), language)
            return self.list_voices(name, request), ""
        return SKIP, SKIP

    def delete_voice(self, language: str, name: str | None, request: gr.Request):
        with _notices(language):
            name = _selected(name)
            self._store(request).delete(name)
            _notify(gr.Info, TEXTS[language]["voice_deleted"].format(name=name), language)
            return self.list_voices(None, request)
        return SKIP

    def upload_voice(self, language: str, path: str, request: gr.Request):
        with _notices(language):
            return self.list_voices(self._store(request).add_file(path), request)
        return SKIP

    def list_voices(self, selected: str | None, request: gr.Request):
        names = self._store(request).names()
        return gr.update(choices=names, value=selected if selected in names else None)

    def download_voice(self, name: str | None, request: gr.Request) -> str | None:
        """The download button's file: a copy, since Gradio serves only its own folder."""
        with suppress(SparkTTSError, OSError):
            return str(self.sessions.temp_files.copy(self._store(request).file(name or "")))
        return None

    def preferred_language(self, request: gr.Request) -> Any:
        """The language of the visitor's browser; the page starts in English."""
        accepted = str(request.headers.get("accept-language", "")).lower()
        return "zh" if accepted.startswith("zh") else SKIP

    def _store(self, request: gr.Request) -> Voices:
        return self.voice_store(request)


def _selected(name: str | None) -> str:
    if not name:
        raise InputError("No voice is selected.", code="no_voice_selected")
    return name


def _parse_number(text: str | None, kind: type, error_code: str) -> Any:
    """The number in a text field; None if the field is empty."""
    text = (text or "").strip()
    try:
        return kind(text) if text else None
    except ValueError:
        raise InputError(f"{text!r} is no number.", code=error_code) from None


@contextmanager
def _notices(language: str) -> Iterator[None]:
    """Show errors as notices."""
    try:
        yield
    except SparkTTSError as error:
        _notify(gr.Warning, error_message(error, language), language)


def _notify(show: Callable, text: str, language: str) -> None:
    """Show a notice. Notices are HTML, and a text may hold what a visitor typed."""
    show(html.escape(text, quote=False), title=TEXTS[language]["notice"])


def _updates(status: str, player: Any = SKIP, audio: Any = SKIP, spectrogram: Any = SKIP,
             voice: Any = SKIP, busy: bool = True) -> tuple:
    """Updates of `OUTPUTS`; what is not given stays as it is."""
    buttons = gr.update(visible=not busy), gr.update(visible=busy)
    return status, player, audio, spectrogram, voice, *buttons
