"""Consents to copying a voice, as records: who, in which language, when. The recording itself is
not kept."""

from __future__ import annotations

import json
import re
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from sparktts_ms.errors import OutputError, SparkTTSError, VoiceError, quoted
from sparktts_ms.files import atomic_write, read_file

FOLDER = "consents"         # in the folder of voices
PREFIX = "cons_"
VALID_ID = re.compile(r"cons_[0-9a-f]{32}")
MAX_CONSENTS = 1000
MAX_FILE_BYTES = 4096


@dataclass(frozen=True)
class Consent:
    """created_at: seconds since 1970. language: a BCP 47 tag."""

    id: str
    created_at: int
    name: str
    language: str
    object: str = "audio.voice_consent"


class ConsentStore:
    """Of one folder of voices; one JSON file each."""

    def __init__(self, voices: Path):
        self.folder = voices / FOLDER

    def add(self, name: str, language: str) -> Consent:
        """Record a consent. Raises VoiceError if there are too many, OutputError."""
        if len(list(self.folder.glob(f"{PREFIX}*.json"))) >= MAX_CONSENTS:
            raise VoiceError(f"There are {MAX_CONSENTS} consents already.",
                             "The administrator can delete some.", code="too_many_consents")
        consent = Consent(f"{PREFIX}{secrets.token_hex(16)}", int(time.time()), name, language)
        try:
            with atomic_write(self._path(consent.id)) as file:
                file.write(json.dumps(asdict(consent), ensure_ascii=False).encode() + b"\n")
        except OutputError as error:
            raise OutputError(error.problem, error.hint, subject=FOLDER) from None
        return consent

    def check(self, consent_id: str) -> None:
        """Raises VoiceError ("unknown_consent") if there is no such consent."""
        if VALID_ID.fullmatch(consent_id):
            try:
                read_file(self._path(consent_id), MAX_FILE_BYTES, VoiceError)
                return
            except SparkTTSError:
                pass
        raise VoiceError(f"There is no consent {quoted(consent_id)}.",
                         "POST /v1/audio/voice_consents records one.", code="unknown_consent")

    def _path(self, consent_id: str) -> Path:
        return self.folder / f"{consent_id}.json"
