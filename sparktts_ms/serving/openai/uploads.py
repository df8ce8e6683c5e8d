"""Forms with a recording: new voices, and consents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from sparktts_ms.audio.file_kind import HEAD_BYTES, file_kind, id3_size
from sparktts_ms.errors import InputError, OutputError, one_line
from sparktts_ms.serving.openai.errors import FieldError
from sparktts_ms.serving.openai.fields import checked_text
from sparktts_ms.serving.recordings.reference_audio import too_large

MAX_FIELDS = 20
FORM = "multipart/form-data"


@dataclass(frozen=True)
class Upload:
    """A form. max_bytes: of a recording."""

    form: FormData
    max_bytes: int

    def text(self, name: str, max_length: int) -> str:
        """A field without surrounding white space; empty if it is left out. Raises FieldError."""
        value = self.form.get(name)
        if isinstance(value, UploadFile):
            raise FieldError(name, f"{name} is a file; it must be text.")
        return checked_text(name, (value or "").strip(), max_length)

    def required(self, name: str, max_length: int) -> str:
        """A field that is not empty. Raises FieldError."""
        value = self.text(name, max_length)
        if not value:
            raise FieldError(name, f"{name} is missing.", "Add it to the form.")
        return value

    async def recording(self, name: str) -> bytes:
        """The content of a sound file. Raises FieldError, AudioError ("too_large")."""
        file = self.form.get(name)
        if not isinstance(file, UploadFile):
            raise FieldError(name, f"{name} is missing.", "Add a sound file to the form.")
        if (file.size or 0) > self.max_bytes:
            raise too_large(self.max_bytes)
        content = await file.read()
        head = content[:HEAD_BYTES]
        if file_kind(head) is None and not id3_size(head):
            raise FieldError(name, f"{name} is no sound file of a known kind.",
                             "Send wav, flac, ogg, opus, mp3, m4a or webm.", "not_audio")
        return content


@asynccontextmanager
async def uploaded(request: Request, max_bytes: int) -> AsyncIterator[Upload]:
    """The form of a request, with one file at most. Raises InputError for anything else, and
    OutputError ("disk_full")."""
    if not request.headers.get("content-type", "").lower().startswith(FORM):
        raise InputError("The body is no form.", f"Send it as {FORM}.", code="invalid_form")
    try:
        form = await request.form(max_files=1, max_fields=MAX_FIELDS)
    except (HTTPException, MultiPartException) as error:
        reason = error.detail if isinstance(error, HTTPException) else error.message
        raise InputError(f"The form cannot be read: {one_line(reason).rstrip('.')}.",
                         code="invalid_form") from None
    except ValueError:                  # that is what the text of its fields is not
        raise InputError("The form cannot be read: its charset is not that of its text.",
                         "Send UTF-8.", code="invalid_form") from None
    except OSError as error:            # large files go through the temporary folder
        raise OutputError(f"The recording cannot be kept: {error.strerror or error}.",
                          code="disk_full") from None
    try:
        yield Upload(form, max_bytes)
    finally:
        await form.close()
