"""A folder of saved voices. Names are checked before they become paths."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from sparktts_ms.errors import OutputError, VoiceError
from sparktts_ms.storage.file_lock import FileLock
from sparktts_ms.voice import Voice

logger = logging.getLogger("sparktts_ms")

MAX_VOICES = 500
WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
LOCK = ".lock"              # a file in the folder; held while a voice is saved
MAX_NAME_LENGTH = 40        # characters
MAX_NAME_BYTES = 200
NAME_PUNCTUATION = " -_"    # allowed in a name besides letters and digits of any script


class VoiceStore:
    """Voices by name, one JSON file each. The folder is made when the first voice is saved."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def check(self) -> None:
        """Raises OutputError for what can be no folder of voices; a missing one can. A folder in
        which nothing can be saved is a warning."""
        folder = self.folder
        try:
            next(folder.iterdir(), None)
        except FileNotFoundError:
            while not folder.exists() and folder != folder.parent:
                folder = folder.parent
        except OSError as error:
            problem = f"{{subject}} can be no folder of voices: {error.strerror}."
            raise OutputError(problem, "Name another folder.", subject=self.folder) from None
        if not os.access(folder, os.W_OK | os.X_OK):
            logger.warning("No voice can be saved in %s: this user may not write there.",
                           self.folder)

    def names(self) -> list[str]:
        """All names, sorted."""
        names = [path.stem for path in self.folder.glob("*.json") if _is_plain_file(path)]
        return sorted(names, key=str.casefold)

    def save(self, name: str, voice: Voice) -> str:
        """Save a voice; returns its normalized name. Raises VoiceError, OutputError
        ("voice_exists", "too_many_voices")."""
        name = normalize_name(name)
        with self._locked():
            names = self.names()
            if name.casefold() in map(str.casefold, names):
                raise OutputError(f"There is a voice named {name} already.", "Choose another name.",
                                  code="voice_exists")
            if len(names) >= MAX_VOICES:
                raise OutputError(f"There are {MAX_VOICES} voices already.", "Delete one first.",
                                  code="too_many_voices")
            voice.save(self._path(name))
        return name

    def load(self, name: str) -> Voice:
        """Raises VoiceError."""
        return Voice.load(self.file(name))

    def add_file(self, path: str | Path) -> str:
        """Save an uploaded file under its own name; returns it. Raises VoiceError, OutputError."""
        return self.save(Path(path).stem, Voice.load(path))

    def may_delete(self, name: str) -> bool:
        """Whether `delete` would delete this voice."""
        return name in self.names()

    def delete(self, name: str) -> None:
        """Raises VoiceError if there is no such voice."""
        try:
            self.file(name).unlink()
        except OSError as error:
            raise VoiceError(f"The voice {name} cannot be deleted: {error.strerror}.") from None

    def file(self, name: str) -> Path:
        """The file of a saved voice. Raises VoiceError if there is none."""
        path = self._path(normalize_name(name))
        if not _is_plain_file(path):
            raise VoiceError(f"There is no voice named {name}.", "Choose one from the list.")
        return path

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Other processes cannot save meanwhile, where the file system has locks. Raises
        OutputError."""
        lock = FileLock(self.folder / LOCK)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            if error.errno in WITHOUT_LOCKS:
                yield
                return
            problem = f"Nothing can be saved to the folder of voices: {error.strerror}."
            raise OutputError(problem, "Free disk space or choose another folder.") from None
        try:
            yield
        finally:
            lock.release()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


class VisitorVoices:
    """What one visitor sees: their own voices, and shared ones, which they cannot change."""

    def __init__(self, own: VoiceStore, shared: VoiceStore):
        self.own = own
        self.shared = shared

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self.own.names(), *self.shared.names()}, key=str.casefold)

    def save(self, name: str, voice: Voice) -> str:
        """As `VoiceStore.save`, among their own."""
        name = normalize_name(name)
        if name.casefold() in map(str.casefold, self.shared.names()):
            raise OutputError(f"There is a voice named {name} already.", "Choose another name.")
        return self.own.save(name, voice)

    def load(self, name: str) -> Voice:
        """Raises VoiceError."""
        return Voice.load(self.file(name))

    def add_file(self, path: str | Path) -> str:
        """As `VoiceStore.add_file`, among their own."""
        return self.save(Path(path).stem, Voice.load(path))

    def may_delete(self, name: str) -> bool:
        """Whether the voice is their own."""
        return self.own.may_delete(name)

    def delete(self, name: str) -> None:
        """Raises VoiceError if there is no such voice, or if it is shared."""
        name = normalize_name(name)
        if not self.may_delete(name) and name in self.shared.names():
            raise VoiceError(f"The voice {name} is shared and cannot be deleted here.",
                             code="shared_voice")
        self.own.delete(name)

    def file(self, name: str) -> Path:
        """The file of a voice. Raises VoiceError if there is none."""
        store = self.own if normalize_name(name) in self.own.names() else self.shared
        return store.file(name)


Voices = VoiceStore | VisitorVoices


def normalize_name(name: str) -> str:
    """The name in Unicode NFC without surrounding spaces. Raises VoiceError."""
    name = str(name or "").strip()
    if len(name) <= MAX_NAME_BYTES:         # to normalize a long name may take hours
        name = unicodedata.normalize("NFC", name)
    if not name:
        raise VoiceError("The voice has no name.", "Give it one.")
    fits = len(name) <= MAX_NAME_LENGTH and len(name.encode(errors="replace")) <= MAX_NAME_BYTES
    if not fits or not name[0].isalnum() or not all(map(_is_allowed, name)):
        raise VoiceError(f"A voice's name has at most {MAX_NAME_LENGTH} letters, digits, spaces, "
                         "hyphens and underscores.")
    return name


def _is_allowed(character: str) -> bool:
    is_mark = unicodedata.category(character) in ("Mn", "Mc")       # combining: accents, vowels
    return character.isalnum() or character in NAME_PUNCTUATION or is_mark


def _is_plain_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
