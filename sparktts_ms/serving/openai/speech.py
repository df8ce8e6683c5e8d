"""What a request to /v1/audio/speech asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sparktts_ms.errors import quoted
from sparktts_ms.generation.attributes import GENDERS, LEVELS, PITCH_RANGE
from sparktts_ms.generation.request import SpeechRequest
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.serving.openai.errors import FieldError, about
from sparktts_ms.serving.openai.fields import Fields, checked_text
from sparktts_ms.serving.openai.models import check_model
from sparktts_ms.serving.recordings.reference_audio import read_reference_audio
from sparktts_ms.serving.server import SpeechServer
from sparktts_ms.serving.settings import Limits
from sparktts_ms.voice import Voice

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
TEMPO_RANGE = (0.25, 4.0)
RATE_RANGE = (8000, 48000)      # Hz
MAX_TEMPERATURE = 5.0
MAX_TOP_K = 1 << 20
MAX_SEED = (1 << 63) - 1
MAX_INSTRUCTIONS = 20_000


@dataclass(frozen=True)
class SpeechParameters:
    """A checked body.

    text, and how it is spoken: by the voice of a recording (`ref_audio`, with its text or without),
    else by a voice that `gender` generates, else by the voice named `voice`. pitch, speed: levels,
    or None. tempo: 2.0 is twice as fast. streamed: sound is sent while it is made; `"stream":
    false` asks for a file that states its length. sample_rate: in Hz; None: the format's usual one.
    """

    text: str
    voice: str | None
    gender: str | None
    pitch: str | float | None
    speed: str | None
    tempo: float
    response_format: str
    as_events: bool
    streamed: bool
    sample_rate: int | None
    sampling: Sampling
    ref_audio: str | None
    ref_text: str | None

    @classmethod
    def parse(cls, content: bytes, limits: Limits) -> SpeechParameters:
        """Raises InputError; FieldError where one field is wrong."""
        fields = Fields(content)
        check_model(fields.text("model"))
        text = fields.text("input", limits.text)
        if text is None or not text.strip():
            problem = "input is empty." if text is not None else "input is missing."
            raise FieldError("input", problem, "Give the text to speak.", "no_text")
        fields.text("instructions", MAX_INSTRUCTIONS)           # accepted, and without effect
        speed, tempo = _parse_speed(fields)
        as_events = fields.choice("stream_format", ("audio", "sse"), "audio") == "sse"
        parameters = cls(
            text=text,
            voice=_parse_voice(fields),
            gender=_parse_label(fields, "gender", GENDERS),
            pitch=_parse_pitch(fields),
            speed=speed,
            tempo=tempo,
            response_format=fields.choice("response_format", FORMATS, "mp3"),
            as_events=as_events,
            streamed=as_events or fields.get("stream") is not False,
            sample_rate=fields.integer("sample_rate", *RATE_RANGE),
            sampling=_parse_sampling(fields),
            ref_audio=fields.text("ref_audio"),
            ref_text=fields.text("ref_text", limits.transcript))
        parameters._check_voice()
        return parameters

    async def request(self, server: SpeechServer) -> SpeechRequest:
        """The request to the service, with its voice. Raises FieldError, ServiceClosed."""
        voice = None if self.ref_audio is None else await self._recorded_voice(server)
        if voice is None and self.gender is None and self.voice is not None:
            with about("voice"):
                voice = await server.voices.find(self.voice, server.speech)
        gender = None if voice is not None else self.gender
        return SpeechRequest(self.text, voice, gender, self.pitch, self.speed, self.sampling)

    async def _recorded_voice(self, server: SpeechServer) -> Voice:
        assert self.ref_audio is not None
        settings = server.settings
        with about("ref_audio"):
            audio = await read_reference_audio(self.ref_audio, settings.limits.upload,
                                               settings.remote_audio_hosts)
            return await server.speech.encode_voice(audio, (self.ref_text or "").strip() or None)

    def _check_voice(self) -> None:
        """Raise FieldError for contradictions, and where there is no voice."""
        if self.ref_audio is not None and self.gender is not None:
            raise FieldError("gender", "Both ref_audio and gender are given.", "Give one of them.",
                             "voice_and_gender")
        if self.ref_audio is None and self.ref_text is not None:
            raise FieldError("ref_text", "ref_text is the text of ref_audio, which is missing.",
                             "Give both, or neither.")
        if self.ref_audio is None and self.gender is None and self.voice is None:
            raise FieldError("voice", "voice is missing.", "Give the name of a voice, such as "
                             "alloy, or gender or ref_audio.", "no_voice")
        if self.gender is None and isinstance(self.pitch, float):
            raise FieldError("pitch", f"pitch is {self.pitch:g}, but only with gender it may be a "
                             "number.", f"Use one of {', '.join(LEVELS)}.", "number_needs_gender")


def _parse_voice(fields: Fields) -> str | None:
    """A name, alone or as {"id": name}."""
    value = fields.get("voice")
    if value is None:
        return None
    name = value.get("id") if isinstance(value, dict) else value
    if not isinstance(name, str):
        raise FieldError("voice", f"voice is {quoted(value)}; it must be a string or an object "
                                  "with the string id.")
    return checked_text("voice", name)


def _parse_speed(fields: Fields) -> tuple[str | None, float]:
    """The level of a generated or recorded voice, and the tempo: a number is a tempo."""
    value = fields.get("speed")
    if isinstance(value, str):
        return _parse_label(fields, "speed", LEVELS, "or a number"), 1.0
    tempo = fields.number("speed", *TEMPO_RANGE)
    return None, 1.0 if tempo is None else tempo


def _parse_pitch(fields: Fields) -> str | float | None:
    """One of the levels, or the median f0 in Hz."""
    if isinstance(fields.get("pitch"), str):
        return _parse_label(fields, "pitch", LEVELS, "or a number of Hz")
    return fields.number("pitch", *PITCH_RANGE)


def _parse_label(fields: Fields, name: str, labels: tuple[str, ...], other: str = "") -> str | None:
    value = fields.text(name)
    if value is not None and value not in labels:
        rule = ", ".join(labels) + (f", {other}" if other else "")
        raise FieldError(name, f"{name} is {quoted(value)}; it must be one of {rule}.")
    return value


def _parse_sampling(fields: Fields) -> Sampling:
    given: dict[str, Any] = {
        "seed": fields.integer("seed", 0, MAX_SEED),
        "temperature": fields.number("temperature", 0.0, MAX_TEMPERATURE),
        "top_k": fields.integer("top_k", 0, MAX_TOP_K),
        "top_p": fields.number("top_p", 0.0, 1.0),
    }
    values = {name: value for name, value in given.items() if value is not None}
    with about("top_p"):                # 0 is none of its values
        return Sampling(**values)
