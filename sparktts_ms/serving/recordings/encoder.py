"""Recordings to voices, of which the latest are remembered."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from pathlib import Path

import numpy as np
import soundfile

from sparktts_ms.errors import AudioError, OutputError
from sparktts_ms.service import Service
from sparktts_ms.voice import Voice

MAX_VOICES = 64             # that are remembered


class RecordingEncoder:
    """For any thread. Reading a recording takes its time, too, so voices are kept by its bytes."""

    def __init__(self) -> None:
        self._voices: dict[tuple, Voice] = {}   # the latest ones, by recording and transcript
        self._lock = threading.Lock()

    def encode(self, service: Service, audio: bytes | np.ndarray, transcript: str | None) -> Voice:
        """The voice of a file's bytes, or of samples [N] float32. Raises AudioError, OutputError.
        """
        content = audio if isinstance(audio, bytes) else np.ascontiguousarray(audio).data
        key = type(audio), hashlib.sha256(content).digest(), transcript
        with self._lock:
            voice = self._voices.get(key)
        if voice is None:
            voice = encode_voice(service, audio, transcript)
            with self._lock:
                self._voices[key] = voice
                if len(self._voices) > MAX_VOICES:
                    del self._voices[next(iter(self._voices))]
        return voice


def encode_voice(service: Service, audio: bytes | np.ndarray, transcript: str | None) -> Voice:
    """As `RecordingEncoder.encode`, without a memory."""
    try:
        with tempfile.NamedTemporaryFile(prefix="spark-tts-audio-") as file:
            if isinstance(audio, bytes):
                file.write(audio)
            else:
                soundfile.write(file, audio, service.sample_rate, "FLOAT", format="WAV")
            file.flush()
            return service.encode_voice(Path(file.name), transcript)
    except OSError as error:
        raise OutputError(f"The recording cannot be kept: {error.strerror or error}.",
                          code="disk_full") from None
    except AudioError as error:
        error.subject = "the recording"
        raise
