"""What can go wrong for a user, one class each.

An error carries what is wrong and what would help as fields, so that a command line can name its
flags and a page its controls. As text it is one line.
"""

from __future__ import annotations

from pathlib import Path


class SparkTTSError(Exception):
    """Base of all errors that a user can cause or mend; command lines print it and exit with status 2.

    problem: what is wrong, a sentence; "{subject}" in it stands for `subject`.
    hint: what would help, in terms of the Python API; may be empty.
    subject: the file, folder or name that the error is about, if there is one.
    code: identifies the kind of error where a front end has a better hint of its own.
    """

    def __init__(
        self,
        problem: str,
        hint: str = "",
        *,
        subject: str | Path | None = None,
        code: str | None = None,
    ):
        super().__init__(problem, hint)
        self.problem = problem
        self.hint = hint
        self.subject = subject
        self.code = code

    def message(self, subject: str | Path | None = None, hint: str | None = None) -> str:
        """The error in one line, with another name for its subject or another hint where given."""
        name = self.subject if subject is None else subject
        text = self.problem.replace("{subject}", str(name))
        advice = self.hint if hint is None else hint
        return f"{text} {advice}".strip()

    def __str__(self) -> str:
        return self.message()


class InputError(SparkTTSError):
    """The request makes no sense: no text, attributes that contradict each other, a value out of range."""


class AudioError(SparkTTSError):
    """A recording that cannot serve as a prompt: missing, not audio, empty, silent, too short."""


class VoiceError(SparkTTSError):
    """A file that holds no voice, or the voice of another model."""


class ModelError(SparkTTSError):
    """A model directory that is missing, incomplete or inconsistent."""


class WeightsError(ModelError):
    """A weights file that is damaged, unsafe, or does not fit its configuration."""


class DeviceError(SparkTTSError):
    """The device, data type or mode asked for is not available here."""


class NoSpeech(SparkTTSError):
    """The language model produced nothing that can be made audible."""


class OutputError(SparkTTSError):
    """A result cannot be written where it should go."""


class DownloadError(SparkTTSError):
    """A hub cannot be reached or does not hold what was asked for."""


class ServiceClosed(SparkTTSError):
    """Something was asked of a service that has been closed."""
