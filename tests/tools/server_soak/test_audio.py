"""Whether a soak test knows wrong audio from right."""

import io

import numpy as np
import pytest
import soundfile

from tools.server_soak.audio import ExpectedLengths, Sound, WrongAudio, check_speech, decode

RATE = 16_000
TONE = 0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
KINDS = {"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "opus": ("OGG", "OPUS"),
         "mp3": ("MP3", "MPEG_LAYER_III")}


def encoded(kind, samples=TONE):
    """By libsndfile, another encoder than the server's."""
    if kind == "pcm":
        return np.round(samples * 32767).astype("<i2").tobytes()
    buffer = io.BytesIO()
    container, subtype = KINDS[kind]
    soundfile.write(buffer, samples, RATE, format=container, subtype=subtype)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["pcm", *KINDS])
def test_a_second_of_sound(kind):
    sound = decode(encoded(kind), kind, RATE)
    assert sound.seconds == pytest.approx(1.0, abs=0.1 if kind in ("mp3", "opus") else 0)
    assert np.sqrt(np.mean(sound.samples ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("content, kind", [
    (b"", "mp3"), (b"", "wav"), (b"{}", "flac"), (b"abc", "pcm"), (bytes(5000), "opus"),
    (encoded("flac"), "wav"), (encoded("wav"), "mp3"), (encoded("mp3"), "opus")])
def test_another_format_is_wrong(content, kind):
    with pytest.raises(WrongAudio):
        decode(content, kind, RATE)


@pytest.mark.parametrize("samples, text", [
    (np.zeros(RATE), "Hello there."), (TONE[:0], "Hello there."), (TONE, "a" * 250),
    (np.tile(TONE, 10), "Hello there."), (TONE * np.nan, "Hello there.")])
def test_what_cannot_be_speech_of_a_text(samples, text):
    check_speech(Sound(TONE, RATE), "Hello there.")
    with pytest.raises(WrongAudio):
        check_speech(Sound(samples.astype(np.float32), RATE), text)


def test_equal_requests_are_equally_long_in_every_format():
    expected = ExpectedLengths({"mp3": (50, 100)})
    expected.check(("a", 1), Sound(TONE, RATE), "flac")
    expected.check(("a", 1), Sound(np.zeros(24_000), 24_000), "pcm")
    expected.check(("a", 1), Sound(np.zeros(RATE + 50), RATE), "mp3")
    expected.check(("a", 1), Sound(np.zeros(RATE + 100), RATE), "mp3")
    expected.check(("a", 2), Sound(TONE[:-1], RATE), "flac")
    with pytest.raises(WrongAudio, match="15999 samples in wav, but 16000"):
        expected.check(("a", 1), Sound(TONE[:-1], RATE), "wav")
    for more in (0, 49, 101):
        with pytest.raises(WrongAudio):
            expected.check(("a", 1), Sound(np.zeros(RATE + more), RATE), "mp3")


def test_only_exact_lengths_are_compared_with():
    expected = ExpectedLengths({"mp3": (50, 100)})
    expected.check(("a",), Sound(TONE[:-90], RATE), "mp3")
    expected.check(("a",), Sound(TONE, RATE), "wav")
