"""Spark-TTS on MindSpore: text to speech for Ascend and CPU.

    from sparktts_ms import SparkTTS, Voice, Sampling
    tts = SparkTTS.from_pretrained("pretrained_models/Spark-TTS-0.5B")
    speech = tts.synthesize("Hello.", voice=tts.encode_voice("prompt.wav"))
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

from sparktts_ms.errors import SparkTTSError, UnsuitableEnvironment

if TYPE_CHECKING:
    from sparktts_ms.generation.attributes import VoiceDescription
    from sparktts_ms.generation.request import Chunks, SpeechRequest
    from sparktts_ms.pipeline import SparkTTS
    from sparktts_ms.qwen2.sampling import Sampling
    from sparktts_ms.service import Service
    from sparktts_ms.voice import Speech, Voice

__all__ = ["Chunks", "Sampling", "Service", "SparkTTS", "SparkTTSError", "Speech", "SpeechRequest",
           "Voice", "VoiceDescription"]

# MindSpore reads these when it is imported, which no module does before this one; a user's own
# setting wins. oneDNN in MindSpore 2.8 and later chooses a reference convolution on AVX-512, 100
# times slower.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")
os.environ.setdefault("GLOG_v", "3")                    # MindSpore's log: errors only
os.environ.setdefault("OMP_WAIT_POLICY", "passive")     # idle threads must not compete with kernels
# With capture MindSpore would use kernels of its own beside CANN's, which were never tried.
os.environ.setdefault("MS_ENABLE_INTERNAL_BOOST", "off")

NUMPY = "1.26.4"        # as in requirements.txt

_MODULES = {
    "Chunks": "generation.request", "SpeechRequest": "generation.request", "SparkTTS": "pipeline",
    "Sampling": "qwen2.sampling", "Service": "service", "Speech": "voice", "Voice": "voice",
    "VoiceDescription": "generation.attributes",
}


def __getattr__(name: str):
    """Import on first use: a command line's help does not wait for MindSpore."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    check_environment()
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def check_environment() -> None:
    """Raise UnsuitableEnvironment (an ImportError) where MindSpore would fail at its first use.

    MindSpore's own metadata accept NumPy 2, so that pip installs it beside MindSpore without a
    word; then the first matrix product on the CPU raises SystemError.
    """
    import numpy

    if int(numpy.__version__.split(".")[0]) >= 2:
        raise UnsuitableEnvironment(
            f"NumPy {numpy.__version__} is installed, with which MindSpore does not work.",
            f'pip install "numpy=={NUMPY}"', code="numpy_2")
