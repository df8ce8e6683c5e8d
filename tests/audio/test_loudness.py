"""Level and reference clip against arrays of the public implementation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sparktts_ms.audio.loudness import normalize_volume, reference_clip, speech_seconds
from tests.helpers import assert_close

SAMPLES = arrays.arrays(np.float64, st.integers(1, 300), elements=st.floats(-3, 3, width=32))


def test_normalize_volume(golden):
    cases = np.load(golden / "audio_volume.npz")
    names = [name.removesuffix(".in") for name in cases.files if name.endswith(".in")]
    assert len(names) > 10
    for name in names:
        normalized = normalize_volume(cases[f"{name}.in"])
        assert_close(normalized, cases[f"{name}.out"], 1e-12, scale=1e-12)


@given(SAMPLES)
def test_normalize_volume_keeps_signs_and_never_clips(samples):
    result = normalize_volume(samples)
    assert result.shape == samples.shape
    assert np.isfinite(result).all()
    assert (np.sign(result) * np.sign(samples) >= 0).all()
    if (np.abs(samples) > 0.01).sum() > 10:
        assert np.abs(result).max() <= 1 + 1e-12


@pytest.mark.parametrize("length", [100, 7000, 48000, 96000, 96001])
def test_reference_clip_is_tiled_or_cut(golden, length):
    expected = np.load(golden / "ref_clip.npz")
    clip = reference_clip(np.arange(length), 96000)
    assert len(clip) == expected[f"{length}.len"]
    np.testing.assert_array_equal(
        clip[[0, min(length, 96000) - 1, -2, -1]], expected[str(length)])


def test_speech_seconds_without_silence_around():
    tone = 0.2 * np.sin(2 * np.pi * 120 * np.arange(16000) / 16000)
    samples = np.concatenate([np.zeros(8000), tone, np.zeros(16000)])
    assert speech_seconds(samples) == pytest.approx(1.0, abs=0.02)
    assert speech_seconds(np.zeros(100)) == 0
    assert speech_seconds(np.zeros(0)) == 0
