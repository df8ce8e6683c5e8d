"""ElevenLabs' names of output formats: codec, sample rate and bit rate, as in mp3_44100_128."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import soundfile

from sparktts_ms.errors import InputError, quoted
from sparktts_ms.serving.encoding.encoder import AudioEncoder

DEFAULT_FORMAT = "mp3_44100_128"
NAME = re.compile(r"(pcm|mp3|opus|wav|ulaw|alaw)_(\d{4,5})(?:_\d{2,3})?", re.ASCII)
RATES = {
    "pcm": (8000, 16000, 22050, 24000, 32000, 44100, 48000),
    "wav": (8000, 16000, 22050, 24000, 32000, 44100, 48000),
    "mp3": (22050, 24000, 44100),
    "opus": (48000,),
    "ulaw": (8000,),
    "alaw": (8000,),
}
COMPANDED = {"ulaw": "ULAW", "alaw": "ALAW"}        # of ITU-T G.711; libsndfile's names
MEDIA_TYPES = {"pcm": "audio/pcm", "ulaw": "audio/basic", "alaw": "audio/x-alaw-basic"}


class Encoder(Protocol):
    """Samples [N] float32 as bytes, piece by piece."""

    def encode(self, samples: np.ndarray) -> bytes:
        """The bytes that are ready."""

    def finish(self) -> bytes:
        """The last bytes."""


@dataclass(frozen=True)
class OutputFormat:
    """codec: pcm (16 bits), wav, mp3, opus, ulaw or alaw. sample_rate: in Hz. The bit rate of a
    name is not kept: the encoder has its own."""

    codec: str
    sample_rate: int

    @property
    def can_restart(self) -> bool:
        """Whether one stream after another is a stream, too."""
        return self.codec not in ("opus", "wav")

    def encoder(self, input_rate: int, speed: float = 1.0) -> Encoder:
        """For samples at `input_rate` Hz, spoken at `speed` times their pace. Raises InputError."""
        companded = COMPANDED.get(self.codec)
        codec = "pcm" if companded else self.codec
        encoder = AudioEncoder(codec, input_rate, self.sample_rate, speed)
        return CompandedEncoder(encoder, companded) if companded else encoder

    def media_type(self) -> str:
        """Of a response."""
        return MEDIA_TYPES.get(self.codec) or AudioEncoder(self.codec, 16000).media_type


class CompandedEncoder:
    """16-bit samples with 8 bits each, as in telephony."""

    def __init__(self, encoder: AudioEncoder, subtype: str):
        self._encoder = encoder
        self._subtype = subtype

    def encode(self, samples: np.ndarray) -> bytes:
        return self._compand(self._encoder.encode(samples))

    def finish(self) -> bytes:
        return self._compand(self._encoder.finish())

    def _compand(self, pcm: bytes) -> bytes:
        file = io.BytesIO()
        samples = np.frombuffer(pcm, "<i2")
        soundfile.write(file, samples, 8000, self._subtype, format="RAW")
        return file.getvalue()


def parse_format(name: Any) -> OutputFormat:
    """Raises InputError ("invalid_output_format")."""
    match = NAME.fullmatch(name) if isinstance(name, str) else None
    rate = int(match[2]) if match else 0
    if match is None or rate not in RATES[match[1]]:
        raise InputError(
            f"output_format is {quoted(name)}.",
            "Use pcm_16000, pcm_24000, another rate from 8000 to 48000, ulaw_8000, mp3_44100_128, "
            "mp3_22050_32 or opus_48000_64.", code="invalid_output_format")
    return OutputFormat(match[1], rate)
