"""The mel spectrogram against arrays of the public implementation, and against SciPy."""

import numpy as np
import pytest
from scipy.signal import stft

from sparktts_ms.audio.mel import MelSpectrogram
from sparktts_ms.errors import AudioError
from tests.helpers import assert_close

MEL = MelSpectrogram(
    sample_rate=16000, n_fft=1024, win_length=640, hop_length=320, num_mels=128, mel_fmin=10)


def test_mel_spectrogram(golden):
    cases = np.load(golden / "mel.npz")
    names = [name.removesuffix(".in") for name in cases.files if name.endswith(".in")]
    for name in names:
        if f"{name}.out" in cases:
            assert_close(MEL(cases[f"{name}.in"]), cases[f"{name}.out"], 1e-4)
        else:
            with pytest.raises(AudioError):
                MEL(cases[f"{name}.in"])


def test_mel_spectrogram_matches_scipy(golden):
    """An independent transform, and the public filter bank."""
    samples = np.random.default_rng(0).standard_normal(8000)
    window = np.zeros(1024)
    window[192:832] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(640) / 640)
    padded = np.pad(samples, 512, mode="reflect")
    _, _, spectrum = stft(
        padded, window=window, nperseg=1024, noverlap=704, boundary=None, padded=False)
    magnitudes = np.abs(spectrum) * window.sum()        # scipy divides by the window's sum
    assert_close(MEL(samples), (magnitudes.T @ np.load(golden / "mel.npz")["fb"]).T, 1e-5)
