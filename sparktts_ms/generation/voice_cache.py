"""Voices of recordings, kept in a folder: a known recording is not encoded again, and needs neither
wav2vec 2.0 nor the speaker encoder.

A file is as `Voice.save` writes it, and is named after all that the voice depends on: recording,
transcript, the encoders' weights and settings, and the code.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from sparktts_ms.config import BiCodecConfig
from sparktts_ms.errors import OutputError, VoiceError
from sparktts_ms.voice import MAX_FILE_BYTES, Voice, check_ids
from sparktts_ms.weights import weight_cache
from sparktts_ms.weights.cache_folder import CacheFolder, is_own, make_private, user_folder

logger = logging.getLogger("sparktts_ms")

MAX_VOICES = 1000               # of 2 to 20 KB; the least recently used ones go


class VoiceCache(CacheFolder):
    """Raises OutputError for a folder that cannot be made."""

    suffix = ".voice"
    code = ("audio", "ops", "weights", "bicodec", "wav2vec2", "generation/voice_encoder.py",
            "voice.py")
    consequence = "recordings are encoded again"

    def __init__(self, folder: Path, version: str, threads: int = 1):
        super().__init__(folder, version, threads)
        try:
            make_private(folder)
            if not folder.is_dir():
                raise FileExistsError
        except OSError as error:
            is_file = isinstance(error, (FileExistsError, NotADirectoryError))
            reason = "a file has that name" if is_file else error.strerror
            raise OutputError(f"The folder of voices {{subject}} cannot be made: {reason}.",
                              "Name another folder.", subject=folder) from None

    def read(self, key: str, config: BiCodecConfig, transcript: str | None, frames: int
             ) -> Voice | None:
        """The voice that was kept as `key`, or None. frames: how many semantic ids it must have.
        What is no such voice is deleted."""
        path = self._path(key)
        try:
            if not is_own(os.lstat(path), stat.S_ISREG):
                raise VoiceError("It is no file of this user's alone.")
            voice = Voice.load(path)
            if voice.transcript != transcript or len(voice.semantic_ids) != frames:
                raise VoiceError("It belongs to another recording.")
            check_ids(config, voice.global_ids, voice.semantic_ids if frames else None, VoiceError)
            os.utime(path)                  # recently used
        except FileNotFoundError:
            return None
        except VoiceError as error:
            logger.warning("A voice in the cache is damaged (%s); the recording is encoded again.",
                           error.message(subject=path.name).rstrip("."))
            self.discard(key)
            return None
        except OSError as error:
            self._warn("cannot be read: %s", error.strerror)
            return None
        return voice

    def write(self, key: str, voice: Voice) -> None:
        """Keep a voice, if there is room."""
        try:
            content = voice.content()
        except UnicodeEncodeError:          # a transcript that no tokenizer takes
            return
        if len(content) > MAX_FILE_BYTES:
            return
        path = self._path(key)
        try:
            self._write(path, content)
            self._remove_old(path, MAX_VOICES, lambda status: 1)
        except OSError as error:
            self._warn("cannot keep voices: %s", error.strerror)


def default_folder() -> Path:
    """Beside the cache of weights. Raises OutputError for a user without a home."""
    weights = weight_cache.default_folder()
    folder = user_folder("voices") if weights is None else weights.with_name("voices")
    if folder is None:
        raise OutputError("There is no home for the folder of voices.", "Name a folder.")
    return folder
