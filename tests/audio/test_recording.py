"""Recordings are read, resampled and levelled as by the public implementation."""

import numpy as np
import pytest
import soxr

from sparktts_ms.audio.loudness import normalize_volume, reference_clip
from sparktts_ms.audio.mel import MelSpectrogram
from sparktts_ms.audio.recording import read_recording
from sparktts_ms.errors import AudioError
from tests.helpers import assert_close

MEL = MelSpectrogram(
    sample_rate=16000, n_fft=1024, win_length=640, hop_length=320, num_mels=128, mel_fmin=10)
RECORDINGS = {
    "codec_16k_3s": "p16k_mono_3s", "codec_24k_0s5": "p24k_mono_0s5",
    "codec_44k_9s": "p44k_stereo_9s"}


def test_resampling_of_every_rate(golden):
    cases = np.load(golden / "resample.npz")
    rates = [name.removesuffix(".in") for name in cases.files if name.endswith(".in")]
    for rate in rates:
        resampled = soxr.resample(cases[f"{rate}.in"], int(rate), 16000, quality="VHQ")
        assert_close(resampled, cases[f"{rate}.out"], 1e-12)


@pytest.mark.parametrize("name", RECORDINGS)
def test_read_recording(golden, name):
    expected = np.load(golden / f"{name}.npz")
    recording = read_recording(golden / "wavs" / f"{RECORDINGS[name]}.wav")
    samples = normalize_volume(recording.samples)
    if "wav" in expected:
        assert_close(samples, expected["wav"], 1e-6)
    else:
        assert len(samples) == expected["wav_len"]
        assert_close(samples[:32000], expected["wav_head"], 1e-6)
        assert_close(samples[-8000:], expected["wav_tail"], 1e-6)
    if "mel" in expected:
        clip = reference_clip(samples, 96000).astype(np.float32)
        assert_close(MEL(clip), expected["mel"], 1e-4)


def test_git_lfs_pointer_is_named(tmp_path):
    path = tmp_path / "prompt.wav"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(AudioError, match=r"git-lfs pointer.*git lfs pull"):
        read_recording(path)
