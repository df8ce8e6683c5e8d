"""Event handlers of the page. Errors become notices in the visitor's language."""

from __future__ import annotations

import html
import logging
import secrets
import time
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import gradio as gr

from sparktts_ms import Chunks, Sampling, SpeechRequest, Voice
from sparktts_ms.errors import InputError, SparkTTSError
from sparktts_ms.generation.attributes import LEVELS
from sparktts_ms.generation.request import check_text
from sparktts_ms.generation.vocabulary import TOKENS_PER_SECOND
from sparktts_ms.serving.voices.store import Voices
from webui.i18n import TEXTS, error_message, notice_message
from webui.sessions import MAX_SEED, Sessions

logger = logging.getLogger("sparktts_ms")

SKIP = gr.skip()            # leaves a component as it is
BUSY, DONE, PLOTTED = (f'<i class="{stage}"></i>' for stage in ("busy", "done", "plotted"))
OUTPUTS = ("status", "player", "stage", "audio", "spectrogram", "voice", "generate", "stop")

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
            for updates in self._generate(language, Form(*values), request):
                started = True
                yield updates
        except CancelledError:
            yield _updates(_status(texts["stopped"]), player="", busy=False)
        except Exception as error:
            message = texts["failed"]
            if isinstance(error, SparkTTSError):
                message = error_message(error, language)
            else:
                logger.exception("Generation failed.")
            _notify(gr.Warning, message)
            yield _updates(_status(error=message), player="" if started else SKIP, busy=False)

    def _generate(self, language: str, form: Form, visitor: gr.Request) -> Iterator[tuple]:
        texts = TEXTS[language]
        session_id = str(visitor.session_hash)
        check_text(form.text or "")
        seed = _parse_number(form.seed, int, "invalid_seed")
        if seed is None:
            seed = secrets.randbelow(MAX_SEED)
        sampling = Sampling(float(form.temperature), int(form.top_k), float(form.top_p),
                            int(form.max_seconds * TOKENS_PER_SECOND), seed=seed)
        start = time.perf_counter()
        status = texts["encoding" if form.source == "clone" else "waiting"]
        yield _updates(_status(status), player="")
        request = self._speech_request(form, sampling, visitor)
        notes = _voice_notes(request.voice, form, language)
        token = secrets.token_urlsafe(16)
        chunks = Chunks() if form.stream else None
        with self.sessions.submit(session_id, request, chunks, token) as job:
            yield _updates(_status(texts["waiting"], notes), f"live/{token}" if form.stream else "",
                           audio=None, spectrogram=None, stage=BUSY)
            for _ in job:
                yield _updates(_status(texts["progress"].format(seconds=job.seconds), notes))
            speech = job.result()
            path = self.sessions.write_wav(speech.samples)
            elapsed = time.perf_counter() - start
            status = texts["finished"].format(seconds=speech.seconds, elapsed=elapsed, seed=seed)
            if not speech.complete:
                notes.append(texts["incomplete"])
            voice = speech.voice if request.voice is None else request.voice
            yield _updates(_status(status, notes), audio=str(path), voice=voice, stage=DONE,
                           busy=False)
        if form.plot:
            plot = self.sessions.plot(speech.samples, form.text)
            yield _updates(_status(status, notes), spectrogram=str(plot), stage=PLOTTED, busy=False)

    def _speech_request(self, form: Form, sampling: Sampling,
                        visitor: gr.Request) -> SpeechRequest:
        """The request of the selected tab, with its recorded, saved or created voice."""
        normalize = bool(form.normalize)
        if form.source == "create":
            pitch = _parse_number(form.pitch_hz, float, "invalid_number") or form.pitch
            speed = _parse_number(form.syllable_rate, float, "invalid_number") or form.speed
            return SpeechRequest(form.text, None, form.gender, pitch, speed, sampling, normalize)
        if form.source == "saved":
            voice = self._store(visitor).load(_selected(form.saved_voice))
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
            _notify(gr.Info, TEXTS[language]["voice_saved"].format(name=name))
            return self.list_voices(name, request), ""
        return SKIP, SKIP

    def delete_voice(self, language: str, name: str | None, request: gr.Request):
        with _notices(language):
            name = _selected(name)
            self._store(request).delete(name)
            _notify(gr.Info, TEXTS[language]["voice_deleted"].format(name=name))
            return self.list_voices(None, request)
        return SKIP

    def upload_voice(self, language: str, path: str, request: gr.Request):
        with _notices(language):
            return self.list_voices(self._store(request).add_file(path), request)
        return SKIP

    def list_voices(self, selected: str | None, request: gr.Request):
        names = self._store(request).names()
        return gr.update(choices=names, value=selected if selected in names else None)

    def select_voice(self, name: str | None, request: gr.Request) -> tuple[Any, Any]:
        """Updates of the buttons that download and delete the selected voice."""
        store = self._store(request)
        path = None                 # of a copy, since Gradio serves only its own folder
        with suppress(SparkTTSError, OSError):
            path = str(self.sessions.temp_files.copy(store.file(name or "")))
        may_delete = path is not None and store.may_delete(name or "")
        return (gr.update(value=path, interactive=path is not None),
                gr.update(interactive=may_delete))

    def example(self, language: str, recording: Path) -> tuple[Any, Any]:
        """A recording to try and its transcript, the .txt file beside it."""
        with _notices(language):
            transcript = recording.with_suffix(".txt").read_text(encoding="utf-8")
            return str(self.sessions.temp_files.copy(recording)), transcript.strip()
        return SKIP, SKIP

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


def _voice_notes(voice: Voice | None, form: Form, language: str) -> list[str]:
    """What to say about a recording, in the page's language."""
    if form.source != "clone":
        return []
    return [notice_message(notice, form.recording, language)
            for notice in getattr(voice, "notices", ())]


@contextmanager
def _notices(language: str) -> Iterator[None]:
    """Show errors as notices."""
    try:
        yield
    except SparkTTSError as error:
        _notify(gr.Warning, error_message(error, language))
    except OSError as error:
        logger.error("A file of the page: %s.", error.strerror)
        _notify(gr.Warning, TEXTS[language]["failed"])


def _notify(show: Callable, text: str) -> None:
    """Show a notice. Notices are HTML, and a text may hold what a visitor typed."""
    show(html.escape(text, quote=False))


def _status(text: str = "", notes: Sequence[str] = (), error: str = "") -> str:
    """HTML of the status. A screen reader reads the text aloud; errors it reads as notices."""
    lines = []
    if text:
        lines.append(f'<p role="status">{html.escape(text, quote=False)}</p>')
    for note in (*notes, *([error] if error else [])):
        lines.append(f'<p class="note">{html.escape(note, quote=False)}</p>')
    return "".join(lines)


def _updates(status: str, player: Any = SKIP, audio: Any = SKIP, spectrogram: Any = SKIP,
             voice: Any = SKIP, stage: Any = SKIP, busy: bool = True) -> tuple:
    """Updates of `OUTPUTS`; what is not given stays as it is. The page's style shows and hides by
    the `stage`: Gradio's visible=False is not reliable for what was not shown before."""
    show = {True: gr.update(visible=True), False: gr.update(visible="hidden")}
    return status, player, stage, audio, spectrogram, voice, show[not busy], show[busy]
