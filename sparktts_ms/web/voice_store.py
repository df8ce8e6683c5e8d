"""The folder of saved voices. A name is checked before it becomes a path, so nothing outside the folder can be touched."""

from __future__ import annotations

import contextlib
import unicodedata
from pathlib import Path

from sparktts_ms.errors import OutputError, VoiceError
from sparktts_ms.voice import MAX_FILE_BYTES, Voice

MOST = 500                      # voices
LONGEST, LONGEST_BYTES = 40, 200
BESIDES = " -_"                 # what a name may hold besides letters and digits of any script


class Shelf:
    """Voices by name, one small file each. The folder is made when the first one is saved."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def names(self) -> list[str]:
        """All of them, in order."""
        with contextlib.suppress(OSError):
            return sorted((path.stem for path in self.folder.glob("*.json") if self._is_voice(path)), key=str.casefold)
        return []

    def save(self, name: str, voice: Voice) -> str:
        """Keep a voice; returns its name as it is kept. Raises VoiceError, or OutputError if the name is taken."""
        name = checked(name)
        names = self.names()
        if name.casefold() in map(str.casefold, names):
            raise OutputError(f"There is a voice named {name} already; choose another name, or delete it first.")
        if len(names) >= MOST:
            raise OutputError(f"There are {MOST} voices already; delete one first.")
        try:
            voice.save(self._path(name))
        except OutputError as problem:
            raise OutputError(str(problem).replace(str(self._path(name)), name)) from None
        return name

    def load(self, name: str) -> Voice:
        """Raises VoiceError."""
        try:
            return Voice.load(self.file(name))
        except VoiceError as problem:
            raise VoiceError(str(problem).replace(str(self._path(name)), name)) from None

    def bring(self, path: str | Path) -> str:
        """Put a voice file that somebody saved on the shelf, under its own name. Raises VoiceError, OutputError."""
        path = Path(path)
        name = checked(path.stem)
        if path.is_symlink() or path.stat().st_size > MAX_FILE_BYTES:
            raise VoiceError(f"{path.name} is no voice; upload a file that was downloaded here.")
        try:
            return self.save(name, Voice.load(path))
        except VoiceError as problem:
            raise VoiceError(str(problem).replace(str(path), path.name).replace("--save_voice", "Keeping a voice")) from None

    def delete(self, name: str) -> None:
        """Raises VoiceError if there is none."""
        try:
            self.file(name).unlink()
        except OSError as problem:
            raise VoiceError(f"The voice {name} cannot be deleted: {problem.strerror}.") from None

    def file(self, name: str) -> Path:
        """Where an existing voice is. Raises VoiceError."""
        path = self._path(checked(name))
        if not self._is_voice(path):
            raise VoiceError(f"There is no voice named {name}; choose one from the list.")
        return path

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    @staticmethod
    def _is_voice(path: Path) -> bool:
        return path.is_file() and not path.is_symlink()


def checked(name: str) -> str:
    """The name in its one spelling. Raises VoiceError for anything that is not plainly a name."""
    name = unicodedata.normalize("NFC", str(name or "")).strip()
    if not name:
        raise VoiceError("Give the voice a name.")
    plain = all(c.isalnum() or c in BESIDES or unicodedata.category(c) in ("Mn", "Mc") for c in name)
    if not plain or not name[0].isalnum() or len(name) > LONGEST or len(name.encode()) > LONGEST_BYTES:
        raise VoiceError(f"A voice's name has at most {LONGEST} letters, digits, spaces, hyphens and underscores.")
    return name
