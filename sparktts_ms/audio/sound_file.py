"""Sound files as blocks of samples: libsndfile for what it reads well, FFmpeg for the rest.

The content decides what a file is, not its name. Lengths that a header claims are not trusted:
everything is read until it ends.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from sparktts_ms.audio import av_decoder
from sparktts_ms.audio.file_kind import HEAD_BYTES, MP3, OGG, WAV, FileKind, file_kind, id3_size
from sparktts_ms.audio.wav_header import repaired_header
from sparktts_ms.errors import AudioError
from sparktts_ms.files import is_lfs_pointer

BLOCK = 1 << 12             # samples of a channel that are read at a time, a frame of FLAC
MAX_BLOCK_VALUES = 1 << 21  # of all channels (16 MiB)
XING = (b"Xing", b"Info", b"VBRI")      # in the first frame of an MP3 that states its length
PIPE_BYTES = 1 << 16
KNOWN_KINDS = "wav, flac, ogg, opus, mp3, m4a, webm"


class SoundFile:
    """An open file: `sample_rate` in Hz, `channels`, and its samples by `blocks`."""

    def __init__(self, file: BinaryIO, header: bytes = b"", offset: int = 0, piped: bool = False):
        """header: read instead of the first `offset` bytes. piped: libsndfile must not see where
        the file ends."""
        self._file = file
        self._header = header
        self._offset = offset
        self._piped = piped
        with self._open() as sound:
            self.sample_rate: int = sound.samplerate
            self.channels: int = sound.channels

    def blocks(self) -> Iterator[np.ndarray]:
        """All samples from the beginning, [N, channels] float64, N > 0. What follows a damage in
        the file is left out."""
        count = max(1, min(BLOCK, MAX_BLOCK_VALUES // self.channels))
        any_read = False
        with self._open() as sound:
            while True:
                try:
                    block = sound.read(count, dtype="float64", always_2d=True)
                except soundfile.SoundFileError:
                    if any_read:
                        return
                    raise
                if not len(block):
                    return
                any_read = True
                yield block

    @contextlib.contextmanager
    def _open(self) -> Iterator[soundfile.SoundFile]:
        if not self._piped:
            self._file.seek(0)
            with _Sequential(self._file.fileno(), closefd=False) as sound:
                yield sound
            return
        reader, writer = os.pipe()
        thread = threading.Thread(target=self._feed, args=(writer,), daemon=True)
        thread.start()
        try:
            with _Sequential(reader, closefd=False) as sound:
                yield sound
        finally:
            os.close(reader)
            thread.join()

    def _feed(self, writer: int) -> None:
        """Write the header and the rest of the file to a pipe."""
        position = self._offset
        with os.fdopen(writer, "wb", buffering=0) as pipe, contextlib.suppress(OSError):
            content = self._header
            while True:
                while content:
                    content = content[pipe.write(content):]
                content = os.pread(self._file.fileno(), PIPE_BYTES, position)
                position += len(content)
                if not content:
                    return


class _Sequential(soundfile.SoundFile):
    """Read from the beginning to the end, without regard to the length that the header claims."""

    def seekable(self) -> bool:
        return False


@contextlib.contextmanager
def open_sound_file(path: Path, max_seconds: float) -> Iterator[SoundFile]:
    """Open a file, of which at most `max_seconds` will be read.

    Raises AudioError if it is missing, a folder, unreadable, empty or not audio; of a kind that
    needs PyAV, which is not installed ("needs_pyav"); or of a kind that is not read ("wrong_kind").
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise _error(path, "is a folder.", "Give an audio file.")
        if not stat.S_ISREG(status.st_mode):
            raise _error(path, "is not a regular file.", "Save the recording to a file first.")
        if not status.st_size:
            raise _error(path, "is empty (0 bytes).", "Record or copy it again.")
        with path.open("rb", buffering=0) as file, contextlib.ExitStack() as stack:
            yield _open_kind(path, file, max_seconds, stack)    # type: ignore[arg-type]
    except (FileNotFoundError, NotADirectoryError):
        raise _error(path, "does not exist.", "Check the path.") from None
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}."
        raise _error(path, problem, "Check its permissions and its disk.") from None
    except (soundfile.SoundFileError, ValueError) as error:
        raise _not_audio(path) from error


def _open_kind(path: Path, file: BinaryIO, max_seconds: float,
               stack: contextlib.ExitStack) -> SoundFile:
    head = os.pread(file.fileno(), HEAD_BYTES, 0)
    if is_lfs_pointer(head):
        raise _error(path, "is a git-lfs pointer, not the recording.",
                     "Get it with `git lfs pull`.")
    tag = id3_size(head)
    after_tag = os.pread(file.fileno(), HEAD_BYTES, tag) if tag else head
    kind = file_kind(head, after_tag if tag else None)
    if kind is None:
        raise _not_audio(path)
    if not kind.sndfile and kind.demuxer is None:
        raise _error(path, f"is {kind.name}, which is not read here.", _conversion(kind),
                     "wrong_kind")
    if kind.sndfile:
        try:
            sound = _open_by_sndfile(file, kind, after_tag)
            # Of an Ogg file whose end is missing libsndfile reads nothing.
            damaged = kind is OGG and next(sound.blocks(), None) is None
            if not damaged or not av_decoder.is_available():
                return sound
        except soundfile.SoundFileError:
            if not av_decoder.is_available():
                raise
    return _open_by_ffmpeg(path, file, kind, max_seconds, stack)


def _open_by_sndfile(file: BinaryIO, kind: FileKind, after_tag: bytes) -> SoundFile:
    if kind is WAV and (repaired := repaired_header(file.fileno())):
        header, offset = repaired
        return SoundFile(file, header, offset, piped=True)
    # Without a stated length libsndfile estimates one from the file's size, and stops there.
    estimated = kind is MP3 and not any(mark in after_tag for mark in XING)
    return SoundFile(file, piped=estimated)


def _open_by_ffmpeg(path: Path, file: BinaryIO, kind: FileKind, max_seconds: float,
                    stack: contextlib.ExitStack) -> SoundFile:
    if not av_decoder.is_available():
        problem = f"is {kind.name}, which needs PyAV (the Python package av)."
        raise _error(path, problem, f"Install it, or convert the file: {_command(kind)}",
                     "needs_pyav")
    assert kind.demuxer is not None
    file.seek(0)
    decoded, status = av_decoder.decode(file, kind.demuxer, max_seconds)
    if decoded is None:
        if status == av_decoder.NO_AUDIO:
            raise _error(path, f"is {kind.name} without any sound.", "Record it with sound.",
                         "not_audio")
        raise _error(path, f"is {kind.name} that is damaged or cannot be decoded.",
                     _conversion(kind), "not_audio")
    return SoundFile(stack.enter_context(decoded))


def _conversion(kind: FileKind) -> str:
    return f"Convert it to wav: {_command(kind)}"


def _command(kind: FileKind) -> str:
    return f"`ffmpeg -i FILE.{kind.suffix} FILE.wav`."


def _not_audio(path: Path) -> AudioError:
    return _error(path, f"is damaged or not audio ({KNOWN_KINDS}).", "Convert it to wav.",
                  "not_audio")


def _error(path: Path, problem: str, hint: str, code: str | None = None) -> AudioError:
    return AudioError(f"{{subject}} {problem}", hint, subject=path, code=code)
