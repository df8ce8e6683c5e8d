"""The models that clients may name. All of them are the one that the server has loaded."""

from __future__ import annotations

from typing import Any

from sparktts_ms.errors import quoted
from sparktts_ms.serving.openai.errors import FieldError
from sparktts_ms.serving.voices.library import VoiceInfo

OWN = "spark-tts"
MODELS = (OWN, "tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15")
CREATED = 1_740_787_200         # 2025-03-01, when Spark-TTS was published


def check_model(name: str | None) -> None:
    """Raises FieldError ("model_not_found") for a name that is none of them; None may be left out.
    """
    if name is not None and name not in MODELS:
        raise FieldError("model", f"There is no model named {quoted(name)}.",
                         f"There are {', '.join(MODELS)}.", "model_not_found")


def model_card(name: str, voices: list[VoiceInfo], languages: tuple[str, ...],
               sample_rate: int | None) -> dict[str, Any]:
    """A model as GET /v1/models lists it. Clients of servers like Speaches read its voices; one
    that speaks several languages has the language "multilingual"."""
    language = languages[0] if len(languages) == 1 else "multilingual"
    return {
        "id": name,
        "object": "model",
        "created": CREATED,
        "owned_by": "sparktts_ms",
        "task": "text-to-speech",
        "language": list(languages),
        "sample_rate": sample_rate,
        "voices": [{"name": voice.name, "language": language} for voice in voices],
    }
