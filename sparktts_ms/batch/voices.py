"""The voices of the lines: files are read here, recordings and built-in voices go to a device."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import replace

from sparktts_ms.batch.line import Recording, VoiceFile, VoiceSource
from sparktts_ms.errors import AudioError, SparkTTSError, VoiceError, quoted
from sparktts_ms.files import read_file
from sparktts_ms.generation.attributes import VoiceDescription
from sparktts_ms.serving.voices.built_in import BUILT_IN_VOICES
from sparktts_ms.serving.voices.store import VoiceStore
from sparktts_ms.voice import Voice

MAX_VOICES = 4096               # that are kept, each of up to 12 KB
MAX_RECORDING_BYTES = 64 << 20  # that go to another machine
MAX_SUGGESTIONS = 8


class Voices:
    """Voices by source, the latest ones; also what was wrong with a source, so that it is not tried
    for each line. store: of saved voices; they come after built-in ones of the same name."""

    def __init__(self, store: VoiceStore):
        self._store = store
        self._found: OrderedDict[VoiceSource, Voice | SparkTTSError] = OrderedDict()

    def find(self, source: VoiceSource) -> Voice | SparkTTSError | VoiceDescription | Recording:
        """The voice, what is wrong with it, or what a device has to make of it: then `put` it."""
        if source in self._found:
            self._found.move_to_end(source)
            return self._found[source]
        if isinstance(source, Recording):
            return source
        if source in BUILT_IN_VOICES:
            return BUILT_IN_VOICES[str(source)]
        try:
            voice: Voice | SparkTTSError = self._load(source)
        except SparkTTSError as error:
            voice = error
        self.put(source, voice)
        return voice

    def put(self, source: VoiceSource, voice: Voice | SparkTTSError) -> None:
        """Keep a voice, or what is wrong with it."""
        self._found[source] = voice
        if len(self._found) > MAX_VOICES:
            self._found.popitem(last=False)

    def _load(self, source: str | VoiceFile) -> Voice:
        if isinstance(source, VoiceFile):
            return Voice.load(source.path)
        try:
            return self._store.load(source)
        except VoiceError:
            names = [*self._store.names(), *BUILT_IN_VOICES]
            if source in names:         # damaged
                raise
            more = ", …" if len(names) > MAX_SUGGESTIONS else "."
            raise VoiceError(f"There is no voice named {quoted(source)}.",
                             f"There are {', '.join(names[:MAX_SUGGESTIONS])}{more}",
                             code="unknown_voice") from None


def with_content(recording: Recording) -> Recording:
    """The recording with its bytes. Raises AudioError."""
    content = read_file(recording.path, MAX_RECORDING_BYTES, AudioError,
                        "Check prompt_speech_path.", folder=os.sep)
    return replace(recording, content=content)
