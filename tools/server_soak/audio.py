"""Whether what a server sent is speech of the format that was asked for, and how long it is."""

from __future__ import annotations

import io
from typing import NamedTuple

import av
import numpy as np

CODECS = {"mp3": ("mp3float", "mp3"), "opus": ("opus", "libopus"), "aac": ("aac",),
          "flac": ("flac",), "wav": ("pcm_s16le",)}
MEDIA_TYPES = {"mp3": "audio/mpeg", "opus": "audio/", "aac": "audio/aac", "flac": "audio/flac",
               "wav": "audio/", "pcm": "audio/"}
SECONDS_A_CHARACTER = 0.25          # at most; and at least:
SECONDS_A_CHARACTER_LEAST = 0.005   # the small demonstration model sometimes ends early
QUIETEST = 0.001                    # root mean square of speech


class WrongAudio(Exception):
    """Bytes that are not the speech that was asked for."""


class Sound(NamedTuple):
    """samples [N] float32 in [-1, 1], mono; sample_rate in Hz."""

    samples: np.ndarray
    sample_rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sample_rate


def decode(content: bytes, response_format: str, sample_rate: int) -> Sound:
    """The sound in a response. `sample_rate`: of pcm. Raises WrongAudio."""
    if response_format == "pcm":
        if len(content) % 2:
            raise WrongAudio(f"{len(content)} bytes are no whole samples")
        return Sound(np.frombuffer(content, "<i2").astype(np.float32) / 32768, sample_rate)
    try:
        with av.open(io.BytesIO(content), "r") as container:
            stream = container.streams.audio[0]
            if stream.codec_context.name not in CODECS[response_format]:
                raise WrongAudio(f"{stream.codec_context.name} instead of {response_format}")
            rate = stream.codec_context.sample_rate
            resampler = av.AudioResampler("flt", "mono", rate)
            parts = []
            for frame in container.decode(stream):
                parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
            parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        raise WrongAudio(f"{len(content)} bytes are no {response_format}: {error}") from None
    return Sound(np.concatenate([np.zeros(0, np.float32), *parts]), rate)


def check_speech(sound: Sound, text: str) -> None:
    """Raises WrongAudio unless the sound may be speech of this text."""
    if not np.isfinite(sound.samples).all() or not len(sound.samples):
        raise WrongAudio("the samples are not finite, or there are none")
    if float(np.sqrt(np.mean(np.square(sound.samples)))) < QUIETEST:
        raise WrongAudio(f"{sound.seconds:.2f} s of silence")
    least = SECONDS_A_CHARACTER_LEAST * len(text)
    if not least <= sound.seconds <= 2 + SECONDS_A_CHARACTER * len(text):
        raise WrongAudio(f"{sound.seconds:.2f} s for {len(text)} characters")


class ExpectedLengths:
    """Equal requests give speech of equal length, in every format; the first exact one counts.

    added: the least and the most samples that a format has besides, at the rate of the response,
    for those that cannot state their exact length.
    """

    RATE = 16_000

    def __init__(self, added: dict[str, tuple[int, int]]):
        self.added = added
        self._exact: dict[tuple, int] = {}

    def check(self, request: tuple, sound: Sound, response_format: str) -> None:
        """Raises WrongAudio if this response is not as long as earlier ones of the request."""
        length = round(len(sound.samples) * self.RATE / sound.sample_rate)
        least, most = self.added.get(response_format, (0, 0))
        if (least, most) != (0, 0) and request not in self._exact:
            return                              # only exact lengths are compared with
        expected = self._exact.setdefault(request, length)
        if not expected + least <= length <= expected + most:
            raise WrongAudio(f"{length} samples in {response_format}, but {expected} before")
