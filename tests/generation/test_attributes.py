"""Pitch, speed and syllables against signals whose answer is known and words from a dictionary."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.audio.loudness import speech_seconds
from sparktts_ms.audio.pitch import median_pitch, pitch_track
from sparktts_ms.generation.attributes import (
    PITCH_THRESHOLDS,
    SPEED_THRESHOLDS,
    pitch_label,
    pitch_value,
    speed_label,
    speed_value,
)


def voiced(hertz, seconds=0.5, tilt=1.0, noise=0.0):
    """Harmonics below 4 kHz that fall off as 1/n^tilt, as a voice's do."""
    t = np.arange(int(16000 * seconds)) / 16000
    x = sum(np.sin(2 * np.pi * n * hertz * t + n * n) / n**tilt for n in range(1, int(4000 / hertz)))
    return 0.2 * x / np.abs(x).max() + noise * np.random.default_rng(0).standard_normal(len(t))


@given(st.floats(70, 400), st.floats(0.3, 2.0), st.sampled_from([0.0, 0.01]))
def test_the_pitch_of_harmonics_is_found(hertz, tilt, noise):
    assert median_pitch(voiced(hertz, tilt=tilt, noise=noise)) == pytest.approx(hertz, rel=0.01)


def test_a_missing_fundamental_is_heard_all_the_same():
    t = np.arange(8000) / 16000
    assert median_pitch(sum(np.sin(2 * np.pi * 150 * n * t) for n in (3, 4, 5, 6))) == pytest.approx(150, rel=0.01)


def test_noise_and_silence_have_no_pitch():
    noise = np.random.default_rng(1).standard_normal(16000)
    assert (pitch_track(noise) > 0).mean() < 0.05
    assert median_pitch(np.zeros(16000)) == 0 and median_pitch(np.zeros(100)) == 0


def test_the_track_follows_a_glide_and_knows_pauses():
    track = pitch_track(np.concatenate([voiced(100), np.zeros(8000), voiced(200)]))
    assert len(track) == (24000 - 640) // 160 + 1
    np.testing.assert_allclose(track[5:40], 100, rtol=0.01)
    assert not track[54:92].any()
    np.testing.assert_allclose(track[105:-5], 200, rtol=0.01)


def test_labels_change_at_the_boundaries_of_the_paper():
    for gender, edges in PITCH_THRESHOLDS.items():
        for n, edge in enumerate(edges):
            assert (pitch_label(edge - 0.05, gender), pitch_label(edge + 0.05, gender)) == (n, n + 1)
    for text, language in (("English words", "en"), ("今天天气很好", "zh")):
        for n, edge in enumerate(SPEED_THRESHOLDS[language]):
            assert (speed_label(edge - 0.001, text), speed_label(edge + 0.001, text)) == (n, n + 1)


def test_values_are_whole_numbers_of_the_vocabulary():
    assert pitch_value(0) == 0 and pitch_value(1e9) == 1000
    assert pitch_value(700) == 781                          # 2595 log10 2
    assert speed_value(4.99) == 4 and speed_value(99) == 10 and speed_value(0) == 0


def test_silence_around_speech_does_not_count():
    x = np.concatenate([np.zeros(8000), voiced(120, 1.0), np.zeros(16000)])
    assert speech_seconds(x) == pytest.approx(1.0, abs=0.02)
    assert speech_seconds(np.zeros(100)) == 0 and speech_seconds(np.zeros(0)) == 0
