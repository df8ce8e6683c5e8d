"""Metrics of recordings."""

import numpy as np
import pytest
import soundfile

from evaluation.metrics import (
    SpeakerClassifier,
    gender_by_pitch,
    level_center,
    mel_distance,
    pitch_error,
    stoi,
)
from sparktts_ms.generation.attributes import PITCH_THRESHOLDS
from tests.helpers import ROOT

RECORDINGS = ROOT / "tests" / "evaluation" / "recordings"


def noise(seed, tilt):
    """Noise [16000] whose spectrum falls by `tilt`."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(16000))
    return 0.1 * np.fft.irfft(spectrum / np.arange(1, len(spectrum) + 1) ** tilt * 50**tilt)


def test_speaker_classifier():
    recordings = {name: [noise(n, tilt) for n in range(3)]
                  for name, tilt in (("bright", 0.1), ("dark", 1.0))}
    speakers = SpeakerClassifier(recordings)
    assert speakers.nearest(noise(9, 0.2)) == "bright"
    assert speakers.nearest(noise(9, 0.9)) == "dark"
    assert speakers.nearest(0.1 * noise(9, 0.9)) == "dark"      # the level does not matter


def test_noise_lowers_stoi():
    x, _ = soundfile.read(RECORDINGS / "slt_0.flac")
    added = np.random.default_rng(0).standard_normal(len(x)) * x.std()
    assert stoi(x, x) == pytest.approx(1, abs=1e-6)
    assert 0.95 > stoi(x + 0.5 * added, x) > stoi(x + 2 * added, x) + 0.1 > 0.1


def test_mel_distance_is_in_decibels():
    x = noise(1, 0.5)
    assert mel_distance(x, x) == 0
    assert mel_distance(2 * x, x) == pytest.approx(20 * np.log10(2), abs=1e-3)


def test_gender_by_pitch():
    for gender in PITCH_THRESHOLDS:
        for level in range(5):
            assert gender_by_pitch(level_center(gender, level), level) == gender
    assert gender_by_pitch(150, 0) == "female" and gender_by_pitch(150, 3) == "male"


def test_pitch_error_is_relative():
    def tone(hertz):
        return np.sin(2 * np.pi * hertz * np.arange(16000) / 16000)

    assert pitch_error(tone(110), tone(100)) == pytest.approx(0.1, abs=1e-3)
    assert pitch_error(tone(90), tone(100)) == pytest.approx(0.1, abs=1e-3)
