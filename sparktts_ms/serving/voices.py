"""Voices by name: generated ones under names that clients know, and saved ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sparktts_ms.errors import VoiceError, quoted
from sparktts_ms.service import Service
from sparktts_ms.serving.async_service import AsyncService
from sparktts_ms.serving.voice_store import VoiceStore
from sparktts_ms.voice import Voice


@dataclass(frozen=True)
class VoiceDescription:
    """What a voice is generated from."""

    gender: str
    pitch: str = "moderate"
    speed: str = "moderate"
    seed: int = 1


BUILT_IN = {"female": VoiceDescription("female"), "male": VoiceDescription("male")}


class VoiceLibrary:
    """store: saved voices; None: there are none. names: further names, each of a voice or of what
    one is generated from."""

    def __init__(self, store: VoiceStore | None, names: Mapping[str, str | VoiceDescription]):
        self.store = store
        self.names = names
        self.generated: dict[str, Voice] = {}

    def generate(self, service: Service) -> None:
        """Make the built-in voices."""

    async def find(self, name: str, speech: AsyncService) -> Voice:
        """Raises VoiceError ("unknown_voice")."""
        raise VoiceError(f"There is no voice named {quoted(name)}.", code="unknown_voice")


def read_names(path: Path) -> dict[str, str | VoiceDescription]:
    """A file of names. Raises InputError."""
    return {}
