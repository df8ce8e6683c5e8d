"""What can go wrong for a user, one class each.

An error carries what is wrong and what would help as fields, so that a command line can name its
flags and a page its controls. As text it is one line. Codes, for hints of a front end's own:

    text: no_text, not_unicode, prompt_too_long, unsupported_language
    request: no_voice, voice_and_gender, style_without_voice, number_needs_gender
    recording: recording_too_long, not_audio, needs_pyav, wrong_kind, short_recording,
        silent_recording, transcript_mismatch
    voice: not_a_voice; generated: no_speech, no_speech_continued, incomplete_voice
    model: no_model_dir, no_model_id, target_exists; server: busy, port_unavailable
    text in pieces: invalid_message, invalid_parameters, invalid_output_format, text_too_long,
        invalid_voice_settings, invalid_api_key, max_active_conversations, input_timeout_exceeded
    response: unknown_format, needs_pyav, sample_rate_out_of_range, speed_out_of_range
    device: no_ascend, ascend_permission, unsuitable_chip, ascend_settings, no_settings
    environment: numpy_2; model directory: wrong_model_dir
"""

from __future__ import annotations

import reprlib
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_QUOTED = 80     # characters of a quoted value
MAX_NAME = 200      # of the name of a file


@dataclass(frozen=True)
class Notice:
    """Something that a user should know about a file, although it did not stop the work.

    code: identifies the kind. text: English, with fields in braces: {subject}, and those of
    `values`, so that a front end can say it in another language.
    """

    code: str
    text: str
    values: tuple[tuple[str, float], ...] = ()

    def message(self, subject: str | Path, text: str | None = None) -> str:
        """The notice in one line about a file, in other words where given."""
        return (text or self.text).format(subject=subject, **dict(self.values))


class SparkTTSError(Exception):
    """Base of all errors that a user can cause or mend.

    problem: what is wrong, a sentence; "{subject}" in it stands for `subject`.
    hint: what would help, in terms of the Python API; may be empty.
    subject: the file, folder or name that the error is about, if there is one.
    code: identifies the kind of error where a front end may have a better hint.
    """

    def __init__(self, problem: str, hint: str = "", *, subject: str | Path | None = None,
                 code: str | None = None):
        super().__init__(problem, hint)
        self.problem = problem
        self.hint = hint
        self.subject = subject
        self.code = code

    def message(self, subject: str | Path | None = None, hint: str | None = None) -> str:
        """The error in one line, with another name for its subject or another hint where given."""
        name = self.subject if subject is None else subject
        text = self.problem.replace("{subject}", shortened(str(name)))
        advice = self.hint if hint is None else hint
        return printable(f"{text} {advice}".strip())

    def __str__(self) -> str:
        return self.message()


class InputError(SparkTTSError):
    """A request without text or voice, with contradictions, or with a value out of range."""


class AudioError(SparkTTSError):
    """A recording that cannot be a prompt: missing, not audio, empty, silent, too short."""


class VoiceError(SparkTTSError):
    """A file that holds no voice, or the voice of another model."""


class ModelError(SparkTTSError):
    """A model directory that is missing, incomplete or inconsistent."""


class WeightsError(ModelError):
    """A weights file that is damaged, unsafe, or does not fit its configuration."""


class DeviceError(SparkTTSError):
    """A device, data type or mode that is not available here."""


class UnsuitableEnvironment(SparkTTSError, ImportError):
    """A library of another version than what works, found before MindSpore is imported."""


class NoSpeech(SparkTTSError):
    """The language model generated nothing that can be decoded."""


class OutputError(SparkTTSError):
    """A result that cannot be written where it should go."""


class DownloadError(SparkTTSError):
    """A hub that cannot be reached, or does not hold the files."""


class ServiceClosed(SparkTTSError):
    """A call of a service that has been closed."""


def printable(text: str) -> str:
    """The text in one line: control characters, and marks that change the direction of writing,
    escaped."""
    if text.isprintable():
        return text
    characters = []
    for character in text:
        hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        escaped = character.encode("unicode_escape").decode() if hidden else character
        characters.append(escaped)
    return "".join(characters)


def shortened(text: str) -> str:
    """The text, without its middle if it is longer than any path that people give."""
    if len(text) <= MAX_NAME:
        return text
    return f"{text[:MAX_NAME // 2]}…{text[-MAX_NAME // 2:]}"


def quoted(value: Any) -> str:
    """A value from outside for an error message: one line of at most MAX_QUOTED characters.

    Strings and containers look as in Python, with control characters escaped; however large or
    deep the value is, only its beginning is looked at.
    """
    try:
        text = _SHORT.repr(value[:2 * MAX_QUOTED] if isinstance(value, str) else value)
    except ValueError:                  # Python does not write numbers of that many digits
        text = f"a {type(value).__name__} of very many digits"
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED - 3]}..."


def one_line(text: object, limit: int = 2 * MAX_QUOTED) -> str:
    """The first line of a message of another library, at most `limit` printable characters."""
    return printable((str(text).splitlines() or [""])[0][:limit])


_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxother = 2 * MAX_QUOTED
