"""A folder of saved voices. Names are checked before they become paths."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from sparktts_ms.errors import OutputError, VoiceError
from sparktts_ms.voice import Voice

MAX_VOICES = 500
MAX_NAME_LENGTH = 40        # characters
MAX_NAME_BYTES = 200
NAME_PUNCTUATION = " -_"    # allowed in a name besides letters and digits of any script


class VoiceStore:
    """Voices by name, one JSON file each. The folder is made when the first voice is saved."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def names(self) -> list[str]:
        """All names, sorted."""
        names = [path.stem for path in self.folder.glob("*.json") if _is_plain_file(path)]
        return sorted(names, key=str.casefold)

    def save(self, name: str, voice: Voice) -> str:
        """Save a voice; returns its normalized name. Raises VoiceError, OutputError."""
        name = normalize_name(name)
        names = self.names()
        if name.casefold() in map(str.casefold, names):
            raise OutputError(f"There is a voice named {name} already.", "Choose another name.")
        if len(names) >= MAX_VOICES:
            raise OutputError(f"There are {MAX_VOICES} voices already.", "Delete one first.")
        voice.save(self._path(name))
        return name

    def load(self, name: str) -> Voice:
        """Raises VoiceError."""
        return Voice.load(self.file(name))

    def add_file(self, path: str | Path) -> str:
        """Save an uploaded file under its own name; returns it. Raises VoiceError, OutputError."""
        return self.save(Path(path).stem, Voice.load(path))

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

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def normalize_name(name: str) -> str:
    """The name in Unicode NFC without surrounding spaces. Raises VoiceError."""
    name = unicodedata.normalize("NFC", str(name or "")).strip()
    if not name:
        raise VoiceError("The voice has no name.", "Give it one.")
    fits = len(name) <= MAX_NAME_LENGTH and len(name.encode()) <= MAX_NAME_BYTES
    if not fits or not name[0].isalnum() or not all(map(_is_allowed, name)):
        raise VoiceError(f"A voice's name has at most {MAX_NAME_LENGTH} letters, digits, spaces, "
                         "hyphens and underscores.")
    return name


def _is_allowed(character: str) -> bool:
    is_mark = unicodedata.category(character) in ("Mn", "Mc")       # combining: accents, vowels
    return character.isalnum() or character in NAME_PUNCTUATION or is_mark


def _is_plain_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
