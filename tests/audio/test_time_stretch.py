"""Speech at another speed lasts as long as it should and keeps its pitch; long silences go."""

import numpy as np
import pytest
import soundfile

from sparktts_ms.audio.time_stretch import change_speed, remove_silence
from tests.helpers import ROOT

RATE = 16000
SPEECH, _ = soundfile.read(ROOT / "examples" / "sparktts" / "prompt.wav", dtype="float32")


def peak_frequency(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 17))
    return np.argmax(spectrum) * RATE / (1 << 17)


def rms(samples):
    return np.sqrt(np.mean(samples ** 2))


def band_levels(samples):
    """Levels in dB of 12 bands, of the total."""
    power = np.abs(np.fft.rfft(samples, 1 << 18)) ** 2
    bands = [band.sum() for band in np.array_split(power[:len(power) // 2], 12)]
    return 10 * np.log10(bands / power.sum())


@pytest.mark.parametrize("speed", [0.3, 0.5, 0.8, 1.0, 1.25, 2.0])
@pytest.mark.parametrize("hertz", [90.0, 220.0, 1000.0])
def test_change_speed_keeps_pitch_and_level(speed, hertz):
    tone = (0.5 * np.sin(2 * np.pi * hertz * np.arange(2 * RATE) / RATE)).astype(np.float32)
    changed = change_speed(tone, speed, RATE)
    assert changed.dtype == np.float32
    assert len(changed) == pytest.approx(len(tone) / speed, abs=1)
    assert peak_frequency(changed) == pytest.approx(hertz, rel=0.01)
    assert rms(changed[RATE // 4:-RATE // 4]) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("speed", [0.5, 1.5])
def test_change_speed_keeps_the_spectrum_of_speech(speed):
    changed = change_speed(SPEECH, speed, RATE)
    assert rms(changed) == pytest.approx(rms(SPEECH), rel=0.1)
    assert np.abs(band_levels(changed) - band_levels(SPEECH)).max() < 2.5


@pytest.mark.parametrize("length", [0, 1, 100, 639, 641])
def test_change_speed_of_few_samples(length):
    assert np.isfinite(change_speed(np.ones(length, np.float32), 1.7, RATE)).all()


def test_speed_is_clipped():
    assert len(change_speed(SPEECH, 9.0, RATE)) == round(len(SPEECH) / 2)


def test_remove_silence():
    def silence(seconds):
        return np.zeros(int(seconds * RATE), np.float32)

    sound = np.full(RATE, 0.1, np.float32)
    speech = np.concatenate([silence(2), sound, silence(0.4), sound, silence(3), sound, silence(1)])
    shortened = remove_silence(speech, RATE)
    assert len(shortened) / RATE == pytest.approx(0.1 + 3 + 0.4 + 0.5 + 0.1, abs=0.01)
    assert (shortened > 0).sum() == 3 * RATE
    assert len(remove_silence(silence(1), RATE)) == RATE
