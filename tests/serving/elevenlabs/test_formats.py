"""Names of output formats, and the samples that come out."""

import io

import numpy as np
import pytest
import soundfile

from sparktts_ms.errors import InputError
from sparktts_ms.serving.elevenlabs.formats import RATES, parse_format

TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)).astype(np.float32)


def encode(name, samples=TONE, speed=1.0):
    encoder = parse_format(name).encoder(16000, speed)
    pieces = [encoder.encode(samples[begin:begin + 1000]) for begin in range(0, len(samples), 1000)]
    return b"".join(pieces) + encoder.finish()


def frequency(samples, rate):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return np.argmax(spectrum) * rate / len(samples)


@pytest.mark.parametrize("rate", RATES["pcm"])
def test_pcm_has_the_rate_of_its_name(rate):
    samples = np.frombuffer(encode(f"pcm_{rate}"), "<i2") / 32768
    assert len(samples) == rate
    assert frequency(samples, rate) == pytest.approx(440, abs=2)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name, subtype", [("ulaw_8000", "ULAW"), ("alaw_8000", "ALAW")])
def test_telephony(name, subtype):
    data = encode(name)
    assert len(data) == 8000
    samples, _ = soundfile.read(io.BytesIO(data), format="RAW", subtype=subtype, channels=1,
                                samplerate=8000)
    assert frequency(samples, 8000) == pytest.approx(440, abs=2)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("name, rate", [("mp3_44100_128", 44100), ("mp3_22050_32", 22050),
                                        ("opus_48000_64", 48000)])
def test_compressed(name, rate):
    samples, decoded_rate = soundfile.read(io.BytesIO(encode(name)))
    assert decoded_rate == rate
    assert len(samples) / rate == pytest.approx(1.0, abs=0.1)
    assert frequency(samples, rate) == pytest.approx(440, abs=3)


def test_speed_changes_the_length_not_the_pitch():
    samples = np.frombuffer(encode("pcm_16000", speed=1.25), "<i2") / 32768
    assert len(samples) == pytest.approx(16000 / 1.25, abs=400)
    assert frequency(samples, 16000) == pytest.approx(440, abs=4)


@pytest.mark.parametrize("name", ["pcm_16001", "pcm", "mp3_16000_32", "ogg_48000", "pcm_-8000",
                                  "pcm_16000_x", "../etc", "", "pcm_１６０００", "x" * 10000])
def test_unknown_names(name):
    with pytest.raises(InputError) as caught:
        parse_format(name)
    assert caught.value.code == "invalid_output_format"
    assert len(str(caught.value)) < 300
