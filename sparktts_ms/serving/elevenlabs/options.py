"""What the address of a WebSocket, or the body of a request, says about how to speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparktts_ms.errors import InputError, quoted
from sparktts_ms.generation.request import SpeechRequest
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.serving.elevenlabs.formats import DEFAULT_FORMAT, OutputFormat, parse_format
from sparktts_ms.voice import Voice

MAX_SEED = (1 << 32) - 1
INACTIVITY_SECONDS = 20
MAX_INACTIVITY_SECONDS = 180


@dataclass(frozen=True)
class SpeechOptions:
    """Fields of ElevenLabs that mean something here; it ignores the others, such as model_id.

    inactivity: seconds without a message after which a context is closed. auto_mode: texts come as
    whole phrases. normalize: write numbers and symbols out as words.
    """

    output: OutputFormat
    seed: int | None = None
    normalize: bool = True
    auto_mode: bool = False
    inactivity: float = INACTIVITY_SECONDS

    def request(self, text: str, voice: Voice) -> SpeechRequest:
        """Raises InputError."""
        return SpeechRequest(text, voice, sampling=Sampling(seed=self.seed),
                             normalize=self.normalize)


def parse_options(fields: Mapping[str, Any], output_format: str | None = None) -> SpeechOptions:
    """From the query of an address, or from a body whose `output_format` is in the query.

    Raises InputError ("invalid_parameters", "invalid_output_format").
    """
    inactivity = _number(fields, "inactivity_timeout", 1, 3600) or INACTIVITY_SECONDS
    name = output_format or fields.get("output_format") or DEFAULT_FORMAT
    return SpeechOptions(
        parse_format(name),
        _number(fields, "seed", 0, MAX_SEED),
        _choice(fields, "apply_text_normalization", ("auto", "on", "off")) != "off",
        _choice(fields, "auto_mode", ("false", "true", "0", "1")) in ("true", "1"),
        min(inactivity, MAX_INACTIVITY_SECONDS))


def _number(fields: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{name} is {quoted(value)}.",
                         f"It is a whole number from {least} to {most}.", code="invalid_parameters")
    return value


def _choice(fields: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or value.lower() not in choices:
        raise InputError(f"{name} is {quoted(value)}.", f"Use one of {', '.join(choices)}.",
                         code="invalid_parameters")
    return value.lower()
