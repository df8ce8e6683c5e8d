"""Speech at another speed lasts as long as it should and keeps its pitch; long silences go."""

import numpy as np
import pytest
import soundfile

from sparktts_ms.audio.time_stretch import TimeStretch, change_speed, remove_silence
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
    changed = change_speed(np.ones(length, np.float32), 1.7, RATE)
    assert len(changed) == round(length / 1.7)
    assert np.isfinite(changed).all()


@pytest.mark.parametrize("speed", [0.25, 0.7, 1.0, 1.3, 4.0])
@pytest.mark.parametrize("size", [7, 160, 3840])
def test_pieces_are_the_same_samples_as_the_whole(speed, size):
    samples = SPEECH[RATE:RATE + 8001]
    whole = TimeStretch(speed, RATE)
    expected = np.concatenate([whole.process(samples), whole.finish()])
    assert len(expected) == round(len(samples) / speed)
    stretch = TimeStretch(speed, RATE)
    pieces = [np.zeros(0, np.float32)]
    for begin in range(0, len(samples), size):
        piece = samples[begin:begin + size]
        pieces.append(stretch.process(piece))
        held_back = begin + len(piece) - sum(map(len, pieces)) * speed
        assert held_back <= 0.03 * RATE + 0.02 * RATE * speed + 1
    assert np.array_equal(np.concatenate([*pieces, stretch.finish()]), expected)


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 2.0, 4.0])
def test_sounds_stay_where_they_belong(speed):
    """Neither the beginning nor the end is lost, and nothing drifts."""
    tone = np.sin(2 * np.pi * 300 * np.arange(RATE // 2) / RATE)
    sound = np.concatenate([tone, np.zeros(RATE), tone, np.zeros(RATE), tone]).astype(np.float32)
    stretch = TimeStretch(speed, RATE)
    changed = np.concatenate([stretch.process(sound), stretch.finish()])
    loud = np.convolve(changed ** 2, np.ones(800) / 800, "same") > 0.2
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(int)))
    expected = np.array([0, 0.5, 1.5, 2.0, 3.0, 3.5]) * RATE / speed
    assert len(edges) == 6
    assert np.abs(edges - expected).max() < 0.03 * RATE


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
