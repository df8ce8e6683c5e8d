"""What a decoder gets is what went in: length, beginning, sound; and it gets it early."""

import io
import os
import sys
import wave

import av
import numpy as np
import pytest
import soundfile
import soxr

from sparktts_ms.audio.pitch import median_pitch
from sparktts_ms.errors import InputError, OutputError
from sparktts_ms.serving.encoding.encoder import AudioEncoder
from tests.helpers import ROOT

RATE = 16000
CHUNK = 3840            # samples, 0.24 s: the first that is generated
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
# From the middle of a word on: nothing at the beginning may be lost.
SPEECH = soundfile.read(ROOT / "examples" / "sparktts" / "prompt.wav", dtype="float32")[0][RATE:]
# Samples of silence that a stream begins with, and signal-to-noise ratio in dB at the least.
STREAMS = [("mp3", 16000, 529, 20), ("mp3", 24000, 529, 20), ("mp3", 44100, 1105, 20),
           ("opus", 16000, 0, 20), ("opus", 24000, 0, 20), ("opus", 48000, 0, 20),
           ("aac", 16000, 1024, 25), ("aac", 24000, 1024, 25),
           ("flac", 16000, 0, 80), ("flac", 44100, 0, 80), ("wav", 16000, 0, 80)]


def pieces(samples, encoder, size=CHUNK):
    parts = [encoder.encode(samples[i:i + size]) for i in range(0, len(samples), size)]
    return [*parts, encoder.finish()]


def encoded(samples, *args, size=CHUNK, **options):
    return b"".join(pieces(samples, AudioEncoder(*args, **options), size))


def decoded(sound):
    """Samples and sample rate of a file, as FFmpeg reads them."""
    with av.open(io.BytesIO(sound)) as container:
        frames = list(container.decode(audio=0))
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    if samples.dtype == np.int16:
        samples = samples / 32768
    return samples.astype(np.float32), frames[0].sample_rate


def resampled(samples, rate, new_rate):
    return samples if rate == new_rate else soxr.resample(samples, rate, new_rate, quality="VHQ")


def delay(samples, original):
    """By how many samples `original` begins late in `samples`: where they are most alike."""
    size = 1 << (len(samples) + len(original)).bit_length()
    spectrum = np.fft.rfft(samples, size) * np.conj(np.fft.rfft(original, size))
    best = int(np.argmax(np.fft.irfft(spectrum, size)))
    return best if best < size // 2 else best - size


def noise_ratio(samples, original):
    """Signal-to-noise ratio in dB."""
    assert len(samples) == len(original)
    return 10 * np.log10(np.sum(original ** 2) / np.sum((samples - original) ** 2))


@pytest.mark.parametrize(("name", "rate", "silence", "least"), STREAMS)
def test_a_stream_decodes_to_the_samples_that_went_in(name, rate, silence, least):
    original = resampled(SPEECH, RATE, rate)
    samples, decoded_rate = decoded(encoded(SPEECH, name, RATE, rate))
    assert decoded_rate == (48000 if name == "opus" else rate)      # Opus always decodes to 48 kHz
    if name == "opus":
        assert len(samples) == round(len(original) * 48000 / rate)
        samples = resampled(samples, 48000, rate)
    assert delay(samples, original) == silence
    assert noise_ratio(samples[silence:silence + len(original)], original) > least
    extra = len(samples) - silence - len(original)
    frame = {"mp3": 576 if rate < 32000 else 1152, "aac": 1024}.get(name, 1)
    assert 0 <= extra < frame


@pytest.mark.parametrize("name", ["mp3", "opus", "flac", "wav"])
@pytest.mark.parametrize("rate", [16000, 24000, 48000])
@pytest.mark.parametrize("reader", ["ffmpeg", "libsndfile"])
def test_a_file_decodes_to_the_samples_that_went_in(name, rate, reader):
    original = resampled(SPEECH, RATE, rate)
    sound = encoded(SPEECH, name, RATE, rate, streamed=False)
    if reader == "ffmpeg":
        samples, decoded_rate = decoded(sound)
        samples = resampled(samples, decoded_rate, rate)
    else:
        samples, decoded_rate = soundfile.read(io.BytesIO(sound), dtype="float32")
        assert decoded_rate == rate
    assert len(samples) == len(original)
    assert abs(delay(samples, original)) <= rate // 16000 - 1       # libopus's own, at 48 kHz
    assert noise_ratio(samples, original) > 15


@pytest.mark.parametrize("name", ["flac", "wav"])
def test_lossless_formats_keep_every_sample(name):
    steps = np.clip(np.rint(SPEECH.astype(np.float64) * 32768), -32768, 32767)
    samples, _ = decoded(encoded(SPEECH, name, RATE))
    assert np.array_equal(samples * 32768, steps)


def test_pcm_has_24_khz_unless_told():
    assert AudioEncoder("pcm", RATE).sample_rate == 24000
    samples = np.frombuffer(encoded(SPEECH, "pcm", RATE), "<i2") / 32768
    original = resampled(SPEECH, RATE, 24000)
    assert len(samples) == len(original)
    assert noise_ratio(samples, original) > 60
    steps = np.frombuffer(encoded(SPEECH, "pcm", RATE, RATE), "<i2")
    assert np.array_equal(steps, np.rint(SPEECH * 32768))


def test_what_exceeds_is_clipped():
    loud = np.array([0.5, 3.0, -3.0, 1.0], np.float32)
    steps = [16384, 32767, -32768, 32767]
    assert np.frombuffer(encoded(loud, "pcm", RATE, RATE), "<i2").tolist() == steps
    for name in FORMATS:
        assert encoded(9 * SPEECH, name, RATE)


@pytest.mark.parametrize("name", FORMATS)
def test_the_first_chunk_gives_sound(name):
    first = AudioEncoder(name, RATE).encode(SPEECH[:CHUNK])
    if name == "pcm":
        assert len(first) > 0.2 * 2 * 24000
    else:
        samples, rate = decoded(first)
        assert len(samples) > 0.1 * rate


@pytest.mark.parametrize("name", FORMATS[:-1])
@pytest.mark.parametrize("options", [{}, {"sample_rate": 24000, "speed": 1.25}])
def test_a_stream_holds_back_a_quarter_of_a_second_at_most(name, options):
    encoder = AudioEncoder(name, RATE, **options)
    sound = b""
    for begin in range(0, len(SPEECH), CHUNK):
        sound += encoder.encode(SPEECH[begin:begin + CHUNK])
        given = (begin + CHUNK) / RATE / options.get("speed", 1)
        samples, rate = decoded(sound)
        assert len(samples) / rate > given - 0.25 or begin + CHUNK > len(SPEECH)


@pytest.mark.parametrize("size", [13, 999, 3840])
@pytest.mark.parametrize("options", [{}, {"sample_rate": 24000}, {"sample_rate": 8000},
                                     {"sample_rate": 44100, "speed": 0.8}, {"speed": 4}])
def test_bytes_do_not_depend_on_the_pieces(size, options):
    samples = SPEECH[:8000]
    whole = encoded(samples, "wav", RATE, size=len(samples), **options)
    assert encoded(samples, "wav", RATE, size=size, **options) == whole


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac"])
def test_bytes_of_encoders_do_not_depend_on_the_pieces(name):
    whole = encoded(SPEECH, name, RATE, size=len(SPEECH))
    for size in (77, 1000, 20000):
        sound = encoded(SPEECH, name, RATE, size=size)
        assert len(sound) == len(whole)
        if name != "opus":              # its streams have random serial numbers
            assert sound == whole
        assert np.array_equal(decoded(sound)[0], decoded(whole)[0])


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 37123, 44100, 48000])
@pytest.mark.parametrize("length", [0, 1, 100, 16001])
def test_length_at_another_rate(rate, length):
    sound = encoded(SPEECH[:length], "wav", RATE, rate)
    assert abs((len(sound) - 44) / 2 - length * rate / RATE) <= 1


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rate", [8000, 12000, 22050, 32000, 48000])
def test_headers_state_the_sample_rate(name, rate):
    encoder = AudioEncoder(name, RATE, rate)
    sound = b"".join(pieces(SPEECH, encoder))
    if name == "opus":
        assert encoder.sample_rate == {22050: 24000, 32000: 48000}.get(rate, rate)
        assert int.from_bytes(sound[40:44], "little") == encoder.sample_rate    # RFC 7845, 5.1
    else:
        assert encoder.sample_rate == rate
    if name not in ("opus", "pcm"):
        assert decoded(sound)[1] == rate


@pytest.mark.parametrize("name", FORMATS)
def test_no_samples_are_a_file_without_any(name):
    for streamed in (True, False):
        sound = encoded(SPEECH[:0], name, RATE, streamed=streamed)
        if name == "wav":
            assert len(sound) == 44
        elif name in ("mp3", "aac", "pcm"):
            assert len(sound) < 2000


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8, 1.25, 2.0, 4.0])
def test_speed_changes_length_but_not_pitch(speed):
    sound = encoded(SPEECH, "wav", RATE, speed=speed)
    samples, _ = decoded(sound)
    assert len(samples) == round(len(SPEECH) / speed)
    assert median_pitch(samples) == pytest.approx(median_pitch(SPEECH), rel=0.02)


def test_speed_one_changes_nothing():
    for speed in (1, 1.0):
        assert encoded(SPEECH, "wav", RATE, speed=speed) == encoded(SPEECH, "wav", RATE)


def test_the_first_bytes_of_a_wav_stream_are_a_whole_header():
    first = AudioEncoder("wav", RATE).encode(SPEECH[:CHUNK])
    with wave.open(io.BytesIO(first)) as header:        # as wyoming_openai reads it
        assert header.getparams()[:3] == (1, 2, RATE)
        assert header.getnframes() >= CHUNK
        assert len(header.readframes(CHUNK)) == 2 * CHUNK


def test_the_header_of_a_wav_file_has_the_length():
    with wave.open(io.BytesIO(encoded(SPEECH, "wav", RATE, streamed=False))) as file:
        assert file.getnframes() == len(SPEECH)
        assert len(file.readframes(len(SPEECH))) == 2 * len(SPEECH)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_comes_in_one_piece(name):
    *first, last = pieces(SPEECH, AudioEncoder(name, RATE, streamed=False))
    assert not any(first) and last


def test_streams_of_mp3_can_be_put_together():
    # As Dify does with what it asked for in parts.
    one = encoded(SPEECH, "mp3", RATE)
    samples, _ = decoded(one + one)
    assert len(samples) == 2 * len(decoded(one)[0])


@pytest.mark.parametrize("name", ["MP3", "", "../mp3", None, 3, ["mp3"], "x" * 999])
def test_unknown_formats_are_named(name):
    with pytest.raises(InputError) as error:
        AudioEncoder(name, RATE)
    assert error.value.code == "unknown_format"
    assert "mp3, opus, aac, flac, wav or pcm" in str(error.value)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("options", [{"sample_rate": 7999}, {"sample_rate": 48001},
                                     {"sample_rate": "16000"}, {"sample_rate": True},
                                     {"speed": 0.2}, {"speed": 4.1}, {"speed": float("nan")},
                                     {"speed": "fast"}, {"speed": None}])
def test_numbers_out_of_range_are_named(options):
    [name] = options
    with pytest.raises(InputError, match=f"^{name} is ") as error:
        AudioEncoder("wav", RATE, **options)
    assert error.value.code == f"{name}_out_of_range"


def test_samples_that_are_not_finite_are_refused():
    for name in FORMATS:
        with pytest.raises(OutputError, match="NaN"):
            AudioEncoder(name, RATE).encode(np.array([0.1, np.nan], np.float32))


@pytest.mark.parametrize("name", FORMATS)
def test_without_pyav(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)        # as if it were not installed
    if name in ("mp3", "aac"):
        with pytest.raises(InputError, match=r"PyAV.*opus, flac, wav or pcm") as error:
            AudioEncoder(name, RATE)
        assert error.value.code == "needs_pyav"
        return
    streamed = encoded(SPEECH, name, RATE, speed=1.25)
    file = encoded(SPEECH, name, RATE, speed=1.25, streamed=False)
    monkeypatch.undo()
    if name == "pcm":
        assert len(streamed) == len(file) == 2 * round(round(len(SPEECH) / 1.25) * 1.5)
        return
    for sound in (streamed, file):
        samples, rate = decoded(sound)
        assert len(samples) == round(round(len(SPEECH) / 1.25) * rate / RATE)


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted in /proc")
def test_an_encoder_that_is_dropped_keeps_no_thread():
    before = len(os.listdir("/proc/self/task"))
    for name in ("mp3", "opus", "aac", "flac"):
        for _ in range(3):
            AudioEncoder(name, RATE).encode(SPEECH)
    assert len(os.listdir("/proc/self/task")) <= before
