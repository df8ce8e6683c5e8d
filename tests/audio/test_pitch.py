"""Pitch of signals whose pitch is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.audio.pitch import median_pitch, pitch_track


def harmonics(hertz, seconds=0.5, tilt=1.0, noise=0.0):
    """Harmonics below 4 kHz that fall off as 1 / n^tilt, as those of a voice."""
    t = np.arange(int(16000 * seconds)) / 16000
    partials = [np.sin(2 * np.pi * n * hertz * t + n * n) / n**tilt
                for n in range(1, int(4000 / hertz))]
    samples = sum(partials)
    samples = 0.2 * samples / np.abs(samples).max()
    return samples + noise * np.random.default_rng(0).standard_normal(len(t))


@given(st.floats(70, 400), st.floats(0.3, 2.0), st.sampled_from([0.0, 0.01]))
def test_median_pitch_of_harmonics(hertz, tilt, noise):
    samples = harmonics(hertz, tilt=tilt, noise=noise)
    assert median_pitch(samples) == pytest.approx(hertz, rel=0.01)


def test_median_pitch_without_fundamental():
    t = np.arange(8000) / 16000
    samples = sum(np.sin(2 * np.pi * 150 * n * t) for n in (3, 4, 5, 6))
    assert median_pitch(samples) == pytest.approx(150, rel=0.01)


def test_noise_and_silence_are_unvoiced():
    noise = np.random.default_rng(1).standard_normal(16000)
    assert (pitch_track(noise) > 0).mean() < 0.05
    assert median_pitch(np.zeros(16000)) == 0
    assert median_pitch(np.zeros(100)) == 0


def test_pitch_track_over_a_pause():
    track = pitch_track(np.concatenate([harmonics(100), np.zeros(8000), harmonics(200)]))
    assert len(track) == (24000 - 640) // 160 + 1
    np.testing.assert_allclose(track[5:40], 100, rtol=0.01)
    assert not track[54:92].any()
    np.testing.assert_allclose(track[105:-5], 200, rtol=0.01)
