"""What the page's buttons do. What goes wrong becomes a notice in the visitor's language; nobody sees a traceback."""

from __future__ import annotations

import html
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr

from sparktts_ms.errors import SparkTTSError
from sparktts_ms.generation.attributes import LEVELS
from sparktts_ms.generation.request import Chunks
from sparktts_ms.generation.vocabulary import TOKENS_PER_SECOND
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.voice import Voice
from sparktts_ms.web.i18n import WORDS, notice
from sparktts_ms.web.sessions import Speaker
from sparktts_ms.web.voice_store import Shelf

logger = logging.getLogger("sparktts_ms")


class Complaint(Exception):
    """Something that the page itself noticed; `word` says which of its words tells it."""

    def __init__(self, word: str):
        super().__init__(word)
        self.word = word


class Actions:
    """`shelf_of` gives the shelf of a visitor, by session: the same for all on a computer of one's own."""

    FIELDS: ClassVar = ("text", "source", "recording", "transcript", "gender", "pitch", "hertz", "speed", "rate", "name",
                        "temperature", "top_k", "top_p", "longest", "seed", "pitch_moved", "speed_moved", "normalize", "live",
                        "picture")

    def __init__(self, speaker: Speaker, shelf_of: Callable[[str], Shelf]):
        self.speaker, self.shelf_of = speaker, shelf_of

    def speak(self, request: gr.Request, language: str, *values: Any) -> Iterator[tuple]:
        """Status, player, audio, picture, voice, speak button, stop button: again and again until all is there."""
        w, asked = WORDS[language], dict(zip(self.FIELDS, values, strict=True))
        said = False
        try:
            for shown in self._spoken(w, asked, str(request.session_hash)):
                said = True
                yield shown
        except (SparkTTSError, Complaint, CancelledError) as problem:
            if not isinstance(problem, CancelledError):
                _warn(problem, language)
            yield _shown(w["stopped"] if isinstance(problem, CancelledError) else "", player="" if said else None, busy=False)
        except Exception:
            logger.exception("Speaking failed.")
            gr.Warning(w["failed"], title=w["notice"])
            yield _shown("", player="", busy=False)

    def _spoken(self, w: dict[str, str], asked: dict[str, Any], owner: str) -> Iterator[tuple]:
        if not (asked["text"] or "").strip():
            raise Complaint("no_text")
        sampling = Sampling(float(asked["temperature"]), int(asked["top_k"]), float(asked["top_p"]),
                            int(asked["longest"] * TOKENS_PER_SECOND), seed=_number(asked["seed"], int, "no_seed"))
        began = time.perf_counter()
        yield _shown(w["listening" if asked["source"] == "clone" else "waiting"], player="", busy=True, audio=None, drawing=None)
        voice, style = self._voice(asked, owner)
        with self.speaker.begun(owner, asked["text"], voice, sampling, Chunks() if asked["live"] else None,
                                normalize=bool(asked["normalize"]), **style) as take:
            yield _shown(w["waiting"], player=f"live/{take.token}" if asked["live"] else "", busy=True)
            for _ in take:
                yield _shown(w["speaking"].format(seconds=take.seconds), busy=True)
            speech = take.speech()
            path = self.speaker.write(speech.samples)
            said = w["done"].format(seconds=speech.seconds, taken=time.perf_counter() - began, seed=take.seed)
            said += "" if speech.complete else " " + w["cut_off"]
            yield _shown(said, audio=str(path), voice=voice if voice is not None else speech.voice, busy=False)
        if asked["picture"]:
            yield _shown(said, drawing=str(self.speaker.picture(speech.samples, asked["text"])), busy=False)

    def _voice(self, asked: dict[str, Any], owner: str) -> tuple[Voice | None, dict[str, Any]]:
        """The recorded or saved voice, or none and how to make one up."""
        if asked["source"] == "create":
            return None, {"gender": asked["gender"], "pitch": _number(asked["hertz"], float, "no_number") or asked["pitch"],
                          "speed": _number(asked["rate"], float, "no_number") or asked["speed"]}
        moved = {name: level for name in ("pitch", "speed") if (level := asked[f"{name}_moved"]) in LEVELS}
        if asked["source"] == "saved":
            if not asked["name"]:
                raise Complaint("no_choice")
            return self.shelf_of(owner).load(asked["name"]), moved
        if not asked["recording"]:
            raise Complaint("no_recording")
        return self.speaker.encode(asked["recording"], asked["transcript"]), moved

    def stop(self, request: gr.Request) -> str:
        """All of this visitor's speech; returns the player's silence."""
        self.speaker.drop(str(request.session_hash))
        return ""

    def leave(self, request: gr.Request) -> None:
        """The tab was closed, or the program that called an endpoint ended."""
        self.speaker.drop(str(request.session_hash))

    def keep(self, language: str, name: str, voice: Voice | None, request: gr.Request) -> tuple[Any, Any]:
        def act(shelf: Shelf) -> str:
            if voice is None:
                raise Complaint("nothing_to_keep")
            kept = shelf.save(name, voice)
            gr.Info(html.escape(WORDS[language]["kept"].format(name=kept)), title=WORDS[language]["notice"])
            return kept
        chosen = self._on_shelf(language, request, act)
        return (gr.skip(), gr.skip()) if chosen is None else (self._choices(request, chosen), "")

    def delete(self, language: str, name: str | None, request: gr.Request) -> Any:
        def act(shelf: Shelf) -> str:
            if not name:
                raise Complaint("no_choice")
            shelf.delete(name)
            gr.Info(html.escape(WORDS[language]["deleted"].format(name=name)), title=WORDS[language]["notice"])
            return ""
        return gr.skip() if self._on_shelf(language, request, act) is None else self._choices(request, None)

    def bring(self, language: str, path: str, request: gr.Request) -> Any:
        chosen = self._on_shelf(language, request, lambda shelf: shelf.bring(path))
        return gr.skip() if chosen is None else self._choices(request, chosen)

    def offer(self, name: str | None, request: gr.Request) -> Any:
        """The download button's file: a copy, since Gradio may hand out nothing outside its own folder."""
        try:
            return str(self.copied(self.shelf_of(str(request.session_hash)).file(name))) if name else None
        except (SparkTTSError, OSError):
            return None

    def voices(self, name: str | None, request: gr.Request) -> Any:
        """The list as it is now."""
        return self._choices(request, name)

    def copied(self, path: Path) -> Path:
        """A copy of a file of ours that visitors may have."""
        copy = self.speaker.workspace.new(path.name)
        copy.parent.mkdir(parents=True)
        shutil.copyfile(path, copy)
        return copy

    def greet(self, request: gr.Request) -> Any:
        """The language that the visitor's browser prefers; the page begins in English."""
        return "zh" if str(request.headers.get("accept-language", "")).lower().startswith("zh") else gr.skip()

    def _on_shelf(self, language: str, request: gr.Request, act: Callable[[Shelf], str]) -> str | None:
        try:
            return act(self.shelf_of(str(request.session_hash)))
        except (SparkTTSError, Complaint) as problem:
            _warn(problem, language)
        return None

    def _choices(self, request: gr.Request, chosen: str | None) -> Any:
        names = self.shelf_of(str(request.session_hash)).names()
        return gr.update(choices=names, value=chosen if chosen in names else None)


def _number(written: str | None, kind: type, complaint: str) -> Any:
    """What stands in a field that may stay empty: then it is None."""
    text = (written or "").strip()
    try:
        return kind(text) if text else None
    except ValueError:
        raise Complaint(complaint) from None


def _warn(problem: Exception, language: str) -> None:
    """A notice. Notices are HTML, and a reason may hold what a visitor typed."""
    words = WORDS[language]
    told = words[problem.word] if isinstance(problem, Complaint) else notice(problem, language)
    gr.Warning(html.escape(told, quote=False), title=words["notice"])


def _shown(status: str, player: Any = None, audio: Any = ..., drawing: Any = ..., voice: Any = ..., busy: bool = True) -> tuple:
    """What `speak` yields; what is left out stays as it is."""
    def kept(value: Any) -> Any:
        return gr.skip() if value is ... else value
    return (status, gr.skip() if player is None else player, kept(audio), kept(drawing), kept(voice),
            gr.update(visible=not busy), gr.update(visible=busy))
