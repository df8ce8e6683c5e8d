"""Spark-TTS on MindSpore: text to speech for Ascend and CPU.

    from sparktts_ms import SparkTTS, Voice, Sampling
    tts = SparkTTS.from_pretrained("pretrained_models/Spark-TTS-0.5B")
    speech = tts.synthesize("Hello.", voice=tts.encode_voice("prompt.wav"))
"""

from typing import TYPE_CHECKING

from sparktts_ms.errors import SparkTTSError

if TYPE_CHECKING:
    from sparktts_ms.generation.request import Chunks, SpeechRequest
    from sparktts_ms.pipeline import SparkTTS
    from sparktts_ms.qwen2.sampling import Sampling
    from sparktts_ms.service import Service
    from sparktts_ms.voice import Speech, Voice

__all__ = ["Chunks", "Sampling", "Service", "SparkTTS", "SparkTTSError", "Speech", "SpeechRequest", "Voice"]
_MODULES = {
    "Chunks": "generation.request",
    "Sampling": "qwen2.sampling",
    "Service": "service",
    "SparkTTS": "pipeline",
    "Speech": "voice",
    "SpeechRequest": "generation.request",
    "Voice": "voice",
}


def __getattr__(name: str):
    """Import MindSpore only with a name that needs it: a command line's help does not wait for it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
