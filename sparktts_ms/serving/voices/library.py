"""The voices of a server by name: fixed ones, saved ones, and names of the administrator's own.

`female`, `male` and OpenAI's 13 names are generated once, from attributes and a seed, so that all
sentences of a caller have the same voice. A file of names adds others, or gives these another
voice. Saved voices belong to everybody who may use the server.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from sparktts_ms.errors import InputError, SparkTTSError, VoiceError, quoted
from sparktts_ms.generation.attributes import VoiceDescription
from sparktts_ms.service import Service
from sparktts_ms.serving.async_service import AsyncService
from sparktts_ms.serving.voices.built_in import BUILT_IN_VOICES
from sparktts_ms.serving.voices.names import VoiceNames
from sparktts_ms.serving.voices.store import VoiceStore, normalize_name
from sparktts_ms.voice import Voice

MAX_SUGGESTIONS = 8         # names in the message about an unknown one

BUILT_IN, SAVED, ALIAS = "built_in", "saved", "alias"


@dataclass(frozen=True)
class VoiceInfo:
    """A voice in a list. kind: "built_in", "saved" or "alias" (of a file of names). created_at: of
    a saved voice, seconds since 1970; 0 for others."""

    name: str
    kind: str
    created_at: int = 0

    @property
    def id(self) -> str:
        """What requests call it by: its name."""
        return self.name


class VoiceLibrary:
    """For any thread.

    store: of saved voices; None: there are none, and none can be added. names: of the file of
    names; they come before fixed and saved voices of the same name. Raises InputError for one of
    them that leads to no voice.
    """

    def __init__(self, store: VoiceStore | None = None, names: VoiceNames | None = None):
        self.store = store
        self.names = dict(names or {})
        self._voices: dict[VoiceDescription, Voice] = {}
        self._generating = threading.Lock()
        for name in self.names:
            try:
                self._target(name)
            except VoiceError as error:
                raise InputError(error.problem, error.hint, code=error.code) from None

    def list(self) -> list[VoiceInfo]:
        """All voices: fixed ones, those of the file of names, saved ones."""
        voices = {name: VoiceInfo(name, BUILT_IN) for name in BUILT_IN_VOICES}
        voices.update((name, VoiceInfo(name, ALIAS)) for name in self.names)
        for name in self._saved():
            if name not in voices:
                voices[name] = VoiceInfo(name, SAVED, self._created_at(name))
        return list(voices.values())

    def generate(self, service: Service) -> None:
        """Make all voices that have a description, in one batch."""
        described = [target for target in {**BUILT_IN_VOICES, **self.names}.values()
                     if isinstance(target, VoiceDescription)]
        with self._generating:
            missing = [target for target in dict.fromkeys(described) if target not in self._voices]
            if missing:
                voices = service.generate_voices(missing)
                self._voices.update(zip(missing, voices, strict=True))

    async def find(self, name: str, speech: AsyncService) -> Voice:
        """The voice of that name.

        Raises VoiceError ("unknown_voice"; a damaged file), ServiceClosed, and what `generate`
        does if it has not been called.
        """
        service = speech.open_service()
        target = await speech.run(self._target, name)
        if not isinstance(target, VoiceDescription):
            return await speech.run(self._load, target)
        if target not in self._voices:
            await speech.run(self.generate, service)
        return self._voices[target]

    def check_new(self, name: str) -> str:
        """The normalized name of a voice that could be added. Raises as `add` does."""
        if self.store is None:
            raise VoiceError("This server has no folder for voices.",
                             "Its administrator can give it one.", code="no_voice_folder")
        name = normalize_name(name)
        known = (*BUILT_IN_VOICES, *self.names, *self._saved())
        if name.casefold() in map(str.casefold, known):
            raise VoiceError(f"There is a voice named {name} already.", "Choose another name.",
                             code="voice_exists")
        return name

    def add(self, name: str, voice: Voice) -> VoiceInfo:
        """Save a voice under a new name. Raises VoiceError ("voice_exists", "too_many_voices",
        "no_voice_folder", or for the name), OutputError."""
        name = self.check_new(name)
        assert self.store is not None
        name = self.store.save(name, voice)
        return VoiceInfo(name, SAVED, self._created_at(name))

    def delete(self, name: str) -> None:
        """Delete a saved voice. Raises VoiceError ("unknown_voice"; "fixed_voice" for others)."""
        if name in self.names or name in BUILT_IN_VOICES:
            raise VoiceError(f"The voice {quoted(name)} is fixed.",
                             "Only saved voices can be deleted.", code="fixed_voice")
        saved = self._saved_name(name)
        if self.store is None or saved is None:
            raise self._unknown(name)
        self.store.delete(saved)

    def _target(self, name: str) -> str | VoiceDescription:
        """The description of a voice, or the name of a saved one. Raises VoiceError."""
        first = name
        passed: list[str] = []
        while name in self.names:
            if name in passed:
                raise VoiceError(f"The names {', '.join(map(quoted, passed[:3]))} lead back to "
                                 "each other.", "Give one of them a voice.", code="unknown_voice")
            passed.append(name)
            target = self.names[name]
            if isinstance(target, VoiceDescription):
                return target
            name = target
        if name in BUILT_IN_VOICES:
            return BUILT_IN_VOICES[name]
        saved = self._saved_name(name)
        if saved is None:
            raise self._unknown(name, first)
        return saved

    def _unknown(self, name: str, alias: str | None = None) -> VoiceError:
        known = [voice.name for voice in self.list() if voice.name not in (name, alias)]
        known.sort(key=lambda other: other in BUILT_IN_VOICES)      # saved voices first
        more = ", …" if len(known) > MAX_SUGGESTIONS else "."
        problem = f"There is no voice named {quoted(name)}"
        if alias not in (None, name):
            problem += f", which {quoted(alias)} stands for"
        return VoiceError(f"{problem}.", f"There are {', '.join(known[:MAX_SUGGESTIONS])}{more}",
                          code="unknown_voice")

    def _saved(self) -> Sequence[str]:
        return [] if self.store is None else self.store.names()

    def _saved_name(self, name: str) -> str | None:
        """The name as it was saved; None if there is no such voice, or can be none."""
        try:
            normalized = normalize_name(name)
        except VoiceError:
            return None
        return normalized if normalized in self._saved() else None

    def _load(self, name: str) -> Voice:
        assert self.store is not None
        try:
            return self.store.load(name)
        except VoiceError as error:         # deleted meanwhile, or damaged
            raise VoiceError(error.problem, subject=f"The saved voice {name}",
                             code=error.code) from None

    def _created_at(self, name: str) -> int:
        assert self.store is not None
        try:
            return int(self.store.file(name).stat().st_mtime)
        except (SparkTTSError, OSError):    # deleted meanwhile
            return 0
