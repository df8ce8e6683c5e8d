"""Faster and slower speech lasts as long as it should, and keeps its pitch."""

import numpy as np
import pytest
import soundfile

from sparktts_ms.audio.time_stretch import change_speed, remove_silence
from tests.helpers import ROOT

RATE = 16000
SPEECH, _ = soundfile.read(ROOT / "examples" / "sparktts" / "prompt.wav", dtype="float32")


def strongest(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 17))
    return np.argmax(spectrum) * RATE / (1 << 17)


@pytest.mark.parametrize("speed", [0.3, 0.5, 0.8, 1.0, 1.25, 2.0])
@pytest.mark.parametrize("hertz", [90.0, 220.0, 1000.0])
def test_pitch_stays_and_duration_scales(speed, hertz):
    tone = (0.5 * np.sin(2 * np.pi * hertz * np.arange(2 * RATE) / RATE)).astype(np.float32)
    changed = change_speed(tone, speed, RATE)
    assert len(changed) == pytest.approx(len(tone) / speed, abs=1) and changed.dtype == np.float32
    assert strongest(changed) == pytest.approx(hertz, rel=0.01)
    middle = changed[RATE // 4:-RATE // 4]
    assert np.sqrt(np.mean(middle ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("speed", [0.5, 1.5])
def test_speech_keeps_its_loudness_and_spectrum(speed):
    changed = change_speed(SPEECH, speed, RATE)
    assert np.sqrt(np.mean(changed ** 2)) == pytest.approx(np.sqrt(np.mean(SPEECH ** 2)), rel=0.1)

    def bands(samples):
        power = np.abs(np.fft.rfft(samples, 1 << 18)) ** 2
        return 10 * np.log10([b.sum() for b in np.array_split(power[:len(power) // 2], 12)] / power.sum())
    assert np.abs(bands(changed) - bands(SPEECH)).max() < 2.5


@pytest.mark.parametrize("length", [0, 1, 100, 639, 641])
def test_the_shortest_samples_do_no_harm(length):
    assert np.isfinite(change_speed(np.ones(length, np.float32), 1.7, RATE)).all()


def test_speeds_beyond_the_slider_are_its_ends():
    assert len(change_speed(SPEECH, 9.0, RATE)) == round(len(SPEECH) / 2)


def test_long_silence_goes_and_short_pauses_stay():
    sound, silence = np.full(RATE, 0.1, np.float32), lambda seconds: np.zeros(int(seconds * RATE), np.float32)
    speech = np.concatenate([silence(2), sound, silence(0.4), sound, silence(3), sound, silence(1)])
    kept = remove_silence(speech, RATE)
    assert len(kept) / RATE == pytest.approx(0.1 + 3 + 0.4 + 0.5 + 0.1, abs=0.01)
    assert (kept > 0).sum() == 3 * RATE
    assert len(remove_silence(silence(1), RATE)) == RATE
