"""The voice in a recording, wherever it begins, in whichever channel, at whatever level."""

import numpy as np
import pytest
import soundfile
import soxr

from sparktts_ms.audio.loudness import TARGET_LEVEL, loud_level
from sparktts_ms.audio.recording import read_recording
from sparktts_ms.errors import AudioError
from tests.audio.signals import RATE, read_speech, sounds
from tests.helpers import PROMPT

SPEECH = read_speech()
SOUNDS = sounds(5)


def write(path, samples, rate=RATE, subtype="FLOAT"):
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def codes(recording):
    return [notice.code for notice in recording.notices]


def lag(samples, speech=SPEECH):
    """By how many samples `speech` begins later in `samples`, by correlation."""
    spectrum = np.fft.rfft(samples, 1 << 18) * np.conj(np.fft.rfft(speech, 1 << 18))
    position = int(np.fft.irfft(spectrum).argmax())
    return position if position < 1 << 17 else position - (1 << 18)


@pytest.mark.parametrize("lead", [0.0, 0.2, 0.4])
def test_speech_that_begins_at_once_is_read_unchanged(tmp_path, lead):
    samples = np.concatenate([np.zeros(int(lead * RATE)), SPEECH])
    recording = read_recording(write(tmp_path / "a.wav", samples))
    np.testing.assert_array_equal(recording.samples, samples.astype(np.float32))
    assert not recording.notices and recording.speech_found


def test_example_is_read_unchanged():
    recording = read_recording(PROMPT)
    np.testing.assert_array_equal(recording.samples, soundfile.read(PROMPT)[0])
    assert not recording.notices


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("rate", [16000, 44100])
def test_what_is_before_the_speech_is_left_out(tmp_path, name, rate):
    samples = np.concatenate([SOUNDS[name], SPEECH])
    path = write(tmp_path / "late.wav", soxr.resample(samples, RATE, rate, "VHQ"), rate)
    recording = read_recording(path)
    assert abs(lag(recording.samples)) < 0.25 * RATE
    assert codes(recording) == ["late_speech"]
    assert "late.wav" in recording.notices[0].message(path)


@pytest.mark.parametrize("seconds", [29.6, 31, 65, 140])
def test_speech_that_begins_very_late(tmp_path, seconds):
    """30 s are read from where it begins, not from the beginning of the file."""
    samples = np.concatenate([np.zeros(int(seconds * RATE)), *[SPEECH] * 14])
    recording = read_recording(write(tmp_path / "late.wav", samples))
    assert len(recording.samples) == 30 * RATE and recording.truncated
    assert abs(lag(recording.samples[:len(SPEECH)])) < 0.25 * RATE


def test_a_file_without_speech_is_read_from_its_beginning(tmp_path):
    samples = SOUNDS["pink noise"]
    recording = read_recording(write(tmp_path / "a.wav", samples))
    assert len(recording.samples) == len(samples) and codes(recording) == ["no_speech_found"]


@pytest.mark.parametrize("other", ["silence", "white noise", "hum", "music", "crosstalk"])
def test_the_channel_with_the_voice_counts(tmp_path, other):
    """Loud sounds in the first channel do not win over the voice in the second."""
    first = SOUNDS["pink noise"] * 0.01 + 0.05 * np.resize(SPEECH, len(SOUNDS["hum"]))
    if other != "crosstalk":
        first = 2 * SOUNDS[other]
    second = np.resize(SPEECH, len(first))
    path = write(tmp_path / "two.wav", np.stack([first, second], 1))
    recording = read_recording(path)
    np.testing.assert_array_equal(recording.samples, second.astype(np.float32))
    assert codes(recording) == ["other_channel"]
    assert "channel 2" in recording.notices[0].message(path)
    swapped = read_recording(write(tmp_path / "first.wav", np.stack([second, first], 1)))
    np.testing.assert_array_equal(swapped.samples, second.astype(np.float32))
    assert not swapped.notices


def test_of_equal_channels_the_first_counts(tmp_path):
    path = write(tmp_path / "equal.wav", np.stack([SPEECH, 1.2 * SPEECH], 1))
    recording = read_recording(path)
    np.testing.assert_array_equal(recording.samples, SPEECH.astype(np.float32))
    assert not recording.notices


def test_a_noisy_channel_is_worse_than_a_clean_one(tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(SPEECH))
    recording = read_recording(write(tmp_path / "a.wav", np.stack([SPEECH + noise, SPEECH], 1)))
    np.testing.assert_array_equal(recording.samples, SPEECH.astype(np.float32))


def test_voice_in_one_of_six_channels(tmp_path):
    samples = 0.05 * np.random.default_rng(0).standard_normal((len(SPEECH), 6))
    samples[:, 4] = SPEECH
    recording = read_recording(write(tmp_path / "six.wav", samples))
    np.testing.assert_array_equal(recording.samples, SPEECH.astype(np.float32))
    assert codes(recording) == ["other_channel"]


@pytest.mark.parametrize("decibels", [-14, -20, -30, -40, -50])
@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16"])
def test_an_unusual_level_is_brought_to_a_usual_one(tmp_path, decibels, subtype):
    samples = 10 ** (decibels / 20) * SPEECH
    recording = read_recording(write(tmp_path / "quiet.wav", samples, subtype=subtype))
    assert loud_level(recording.samples) == pytest.approx(TARGET_LEVEL, rel=0.01)
    assert loud_level(SPEECH) == pytest.approx(TARGET_LEVEL, rel=0.05)
    step = 0 if subtype == "FLOAT" else 10 ** (-decibels / 20) * 2**-15
    np.testing.assert_allclose(recording.samples, SPEECH * TARGET_LEVEL / loud_level(SPEECH),
                               atol=1e-3 + 1.2 * step)


@pytest.mark.parametrize("offset", [0.01, -0.1, 0.3])
@pytest.mark.parametrize("gain", [1, 0.01])
def test_an_offset_is_removed(tmp_path, offset, gain):
    samples = gain * (0.5 * read_speech("slt_1") + offset)
    recording = read_recording(write(tmp_path / "offset.wav", samples))
    clean = read_recording(write(tmp_path / "clean.wav", gain * 0.5 * read_speech("slt_1")))
    np.testing.assert_allclose(recording.samples, clean.samples, atol=1e-3)


def test_notices_of_little_and_of_bad_speech(tmp_path):
    short = read_recording(write(tmp_path / "short.wav", SPEECH[:8000]))
    assert codes(short) == ["short_recording"]
    little = np.concatenate([np.zeros(4000), SPEECH[4000:12000], np.zeros(3 * RATE)])
    assert codes(read_recording(write(tmp_path / "little.wav", little))) == ["little_speech"]
    for name in ("awb_1", "rms_0", "slt_0", "kal16_0"):
        speech = read_speech(name)
        peak = np.abs(speech).max()
        clipped = np.clip(5 * speech, -peak, peak)
        assert "clipped" in codes(read_recording(write(tmp_path / "clipped.wav", clipped)))
        assert not codes(read_recording(write(tmp_path / "clean.wav", speech)))


@pytest.mark.parametrize("samples, message", [
    (np.zeros(0), "holds no samples"),
    (np.zeros(RATE), "is silent in the 1.0 s"),
    (np.full(RATE, 0.3), "is silent"),
    (SPEECH[:300], "lasts 18.8 ms"),
    (np.where(np.arange(len(SPEECH)) == 9000, np.nan, SPEECH), "NaN"),
    (np.where(np.arange(len(SPEECH)) == 9000, np.inf, SPEECH), "infinity"),
    (1e20 * SPEECH, "far beyond any sound"),
])
def test_unusable_recordings(tmp_path, samples, message):
    with pytest.raises(AudioError, match=message):
        read_recording(write(tmp_path / "bad.wav", samples, subtype="DOUBLE"))
