"""Speech in the format, at the sample rate and at the speed that a client wants, as it is made."""

import numpy as np

from sparktts_ms.audio.time_stretch import TimeStretch
from sparktts_ms.errors import InputError, OutputError, quoted
from sparktts_ms.serving.encoding.formats import (
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    PCM_SAMPLE_RATE,
    find_format,
    has_pyav,
)
from sparktts_ms.serving.encoding.resampler import Resampler
from sparktts_ms.serving.encoding.writers import (
    PcmWriter,
    PyAvWriter,
    SoundFileWriter,
    WavWriter,
    Writer,
)

MIN_SPEED = 0.25
MAX_SPEED = 4.0


class AudioEncoder:
    """One sound file of mono speech, made piece by piece.

    response_format: mp3, opus (in Ogg), aac (ADTS), flac, wav (16 bits) or pcm (16-bit
    little-endian samples without a header). input_rate: Hz of the samples that come in.
    sample_rate: Hz of the file, 8000 to 48000; None is 24000 for pcm, `input_rate` for all others.
    mp3, opus and aac take the next higher rate that they have. speed: 0.25 to 4 times the pace,
    with unchanged pitch. streamed: bytes are returned as soon as there are any; if not, `finish`
    returns all of them, and headers state the length.

    A decoder returns exactly the samples that went in, [N / speed * sample_rate / input_rate],
    with two exceptions, which have no field that says how many there are. Streams of mp3 begin
    with 529 samples of silence, from 32 kHz on with 1105, and end with less than a frame (576;
    1152). aac begins with 1024 and ends with less than 1024.

    InputError: "unknown_format", "needs_pyav", "sample_rate_out_of_range", "speed_out_of_range".
    """

    def __init__(self, response_format: str, input_rate: int, sample_rate: int | None = None,
                 speed: float = 1.0, *, streamed: bool = True):
        form = find_format(response_format)
        if sample_rate is None:
            sample_rate = PCM_SAMPLE_RATE if response_format == "pcm" else input_rate
        _check_range("sample_rate", sample_rate, MIN_SAMPLE_RATE, MAX_SAMPLE_RATE)
        _check_range("speed", speed, MIN_SPEED, MAX_SPEED)
        self.media_type = form.media_type
        self.sample_rate = form.sample_rate(round(sample_rate))
        self._stretch = TimeStretch(float(speed), input_rate)
        self._resampler = Resampler(input_rate, self.sample_rate)
        self._writer: Writer
        if response_format == "pcm":
            self._writer = PcmWriter(streamed)
        elif response_format == "wav":
            self._writer = WavWriter(self.sample_rate, streamed)
        elif has_pyav():
            self._writer = PyAvWriter(form, self.sample_rate, streamed)
        else:
            self._writer = SoundFileWriter(form, self.sample_rate, streamed)

    def encode(self, samples: np.ndarray) -> bytes:
        """Take samples [N] in [-1, 1], clipped beyond, and return the bytes that are ready.

        Raises OutputError for samples that are not finite.
        """
        if not np.isfinite(samples).all():
            raise OutputError("The speech was not encoded: its samples contain NaN or infinity.",
                              "Try float32 or another seed.")
        stretched = self._stretch.process(samples)
        return self._writer.write(self._resampler.process(stretched))

    def finish(self) -> bytes:
        """The last bytes. Nothing may be encoded afterwards."""
        last = self._resampler.process(self._stretch.finish())
        samples = np.concatenate([last, self._resampler.finish()])
        return self._writer.write(samples) + self._writer.finish()


def _check_range(name: str, value: object, least: float, most: float) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:     # type: ignore[operator]
        raise InputError(f"{name} is {quoted(value)}.", f"It is a number from {least} to {most}.",
                         code=f"{name}_out_of_range")
