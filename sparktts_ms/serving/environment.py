"""A server set up by environment variables, for process managers that start `create_app`.

The model: SPARKTTS_MODEL_DIR (default: the released weights where they are, else the demonstration
model), SPARKTTS_DEVICE_TARGET, SPARKTTS_DEVICE, SPARKTTS_MODE, SPARKTTS_DTYPE, SPARKTTS_QUANTIZE.
SPARKTTS_VOICE_CACHE: a folder in which voices of recordings are kept, 1 for the user's, 0 for none.
SPARKTTS_VOICES, SPARKTTS_NAMES, SPARKTTS_API_KEY, SPARKTTS_MAX_QUEUE, SPARKTTS_GRPC_PORT,
SPARKTTS_ALLOWED_HOSTS, SPARKTTS_CORS_ORIGIN: see `Settings`. Lists are separated by commas.
SPARKTTS_API_KEY_FILE names a file of further keys, one a line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sparktts_ms.errors import InputError
from sparktts_ms.pipeline import SparkTTS
from sparktts_ms.service import Service
from sparktts_ms.serving.api_keys import environment_keys
from sparktts_ms.serving.settings import Settings


def settings_from_environment() -> Settings:
    """Raises InputError."""
    environment = os.environ
    hosts = _list(environment.get("SPARKTTS_ALLOWED_HOSTS", "*"))
    port = _number("SPARKTTS_GRPC_PORT", -1)
    return Settings(
        grpc_port=None if port < 0 else port,
        voices=_path(environment.get("SPARKTTS_VOICES", "")),
        names=_path(environment.get("SPARKTTS_NAMES", "")),
        api_keys=environment_keys(),
        max_queue=_number("SPARKTTS_MAX_QUEUE", Settings.max_queue),
        allowed_hosts=hosts,
        origins=_list(environment.get("SPARKTTS_CORS_ORIGIN", "")),
    )


def load_service() -> Service:
    """A service on the model that the environment names. Raises ModelError, DeviceError."""
    environment = os.environ
    model_dir = environment.get("SPARKTTS_MODEL_DIR") or default_model_dir()
    return Service(SparkTTS.from_pretrained(
        model_dir, environment.get("SPARKTTS_DEVICE_TARGET", "auto"),
        _number("SPARKTTS_DEVICE", 0), environment.get("SPARKTTS_MODE", "graph"),
        environment.get("SPARKTTS_DTYPE") or None, environment.get("SPARKTTS_QUANTIZE", "none"),
        voice_cache=_voice_cache(environment.get("SPARKTTS_VOICE_CACHE", ""))))


def default_model_dir(folder: Path = Path("pretrained_models")) -> Path:
    """Of the released weights where they are, else of the demonstration model."""
    released = folder / "Spark-TTS-0.5B"
    return released if released.is_dir() else folder / "Spark-TTS-demo"


def _list(text: str) -> Sequence[str]:
    return tuple(part for part in map(str.strip, text.split(",")) if part)


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _voice_cache(text: str) -> bool | Path:
    return text == "1" if text in ("", "0", "1") else Path(text)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "") or str(default)
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{name} is {text[:80]!r}; it must be a number.") from None
