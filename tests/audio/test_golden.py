"""Level, resampling, reference clip and mel spectrogram against the public implementation's arrays."""

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.signal import stft

from sparktts_ms.audio.loudness import normalize_volume, reference_clip
from sparktts_ms.audio.mel import MelSpectrogram
from sparktts_ms.audio.recording import read_recording
from sparktts_ms.errors import AudioError

MEL = MelSpectrogram(sample_rate=16000, n_fft=1024, win_length=640, hop_length=320, num_mels=128, mel_fmin=10)
RECORDINGS = {"codec_16k_3s": "p16k_mono_3s", "codec_24k_0s5": "p24k_mono_0s5", "codec_44k_9s": "p44k_stereo_9s"}


def close(actual, expected, tolerance):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * max(np.abs(expected).max(), 1e-12)


def test_every_case_of_the_volume_normaliser(golden):
    cases = np.load(golden / "audio_volume.npz")
    names = [name[:-3] for name in cases.files if name.endswith(".in")]
    assert len(names) > 10
    for name in names:
        close(normalize_volume(cases[f"{name}.in"]), cases[f"{name}.out"], 1e-12)


def test_every_rate_is_resampled_alike(golden):
    cases = np.load(golden / "resample.npz")
    for rate in (name[:-3] for name in cases.files if name.endswith(".in")):
        close(soxr.resample(cases[f"{rate}.in"], int(rate), 16000, quality="VHQ"), cases[f"{rate}.out"], 1e-12)


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_is_read_resampled_and_levelled_alike(golden, name):
    expected = np.load(golden / f"{name}.npz")
    recording = read_recording(golden / "wavs" / f"{RECORDINGS[name]}.wav")
    samples = normalize_volume(recording.samples)
    if "wav" in expected:
        close(samples, expected["wav"], 1e-6)
    else:
        assert len(samples) == expected["wav_len"]
        close(samples[:32000], expected["wav_head"], 1e-6)
        close(samples[-8000:], expected["wav_tail"], 1e-6)
    if "mel" in expected:
        close(MEL(reference_clip(samples, 96000).astype(np.float32)), expected["mel"], 1e-4)


def test_the_mel_spectrogram_of_every_length(golden):
    cases = np.load(golden / "mel.npz")
    for name in (n[:-3] for n in cases.files if n.endswith(".in")):
        if f"{name}.out" in cases:
            close(MEL(cases[f"{name}.in"]), cases[f"{name}.out"], 1e-4)
        else:
            with pytest.raises(AudioError):
                MEL(cases[f"{name}.in"])


def test_the_mel_spectrogram_is_the_filters_over_scipys_magnitudes(golden):
    """An independent transform, and the public filter bank."""
    samples = np.random.default_rng(0).standard_normal(8000)
    window = np.zeros(1024)
    window[192:832] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(640) / 640)
    padded = np.pad(samples, 512, mode="reflect")
    _, _, spectrum = stft(padded, window=window, nperseg=1024, noverlap=704, boundary=None, padded=False)
    magnitudes = np.abs(spectrum) * window.sum()        # scipy divides by the window's sum
    close(MEL(samples), (magnitudes.T @ np.load(golden / "mel.npz")["fb"]).T, 1e-5)


@pytest.mark.parametrize("length", [100, 7000, 48000, 96000, 96001])
def test_the_reference_clip_is_tiled_or_cut(golden, length):
    expected, clip = np.load(golden / "ref_clip.npz"), reference_clip(np.arange(length), 96000)
    assert len(clip) == expected[f"{length}.len"]
    np.testing.assert_array_equal(clip[[0, min(length, 96000) - 1, -2, -1]], expected[str(length)])


@given(arrays.arrays(np.float64, st.integers(1, 300), elements=st.floats(-3, 3, width=32)))
def test_a_normalised_recording_never_clips_nor_turns_over(samples):
    result = normalize_volume(samples)
    assert result.shape == samples.shape and np.isfinite(result).all()
    assert (np.sign(result) * np.sign(samples) >= 0).all()
    if (np.abs(samples) > 0.01).sum() > 10:
        assert np.abs(result).max() <= 1 + 1e-12
