"""A transcript that cannot be what a recording says is refused; a doubtful one gives a notice."""

import pytest

from sparktts_ms.errors import AudioError
from sparktts_ms.generation.transcript import check_transcript

SENTENCE = "Hello, and welcome. A machine made this voice, so you may copy it as you like."


@pytest.mark.parametrize("transcript, seconds, speech_seconds", [
    (SENTENCE, 5.1, 4.4), (SENTENCE, 3.0, 2.8), (SENTENCE, 9.0, 8.0),
    ("今天天气很好，我们一起去公园散步吧。", 3.5, 3.0), ("Yes.", 0.4, 0.3), ("Hm.", 1.5, 1.2),
    ("Здравствуйте, как дела?", 2.0, 1.5), ("1999", 1.5, 1.2)])
def test_what_can_be_said_in_that_time(transcript, seconds, speech_seconds):
    assert not check_transcript("a.wav", transcript, seconds, speech_seconds)


@pytest.mark.parametrize("transcript, seconds, speech_seconds", [
    ("word " * 30, 0.3, 0.3), ("字" * 60, 2.0, 1.8), ("Two words.", 20.0, 18.0),
    (SENTENCE * 4, 3.0, 2.9), ("你好", 25.0, 20.0)])
def test_what_nobody_can_say_in_that_time(transcript, seconds, speech_seconds):
    with pytest.raises(AudioError, match=r"/a\.wav says in \d+\.\d s") as error:
        check_transcript("/a.wav", transcript, seconds, speech_seconds)
    assert error.value.code == "transcript_mismatch" and error.value.subject == "/a.wav"


@pytest.mark.parametrize("transcript, speech_seconds, code", [
    ("Hello, and welcome.", 4.4, "transcript_too_short"), (SENTENCE, 2.0, "transcript_too_long"),
    ("今天天气很好", 6.0, "transcript_too_short")])
def test_what_is_doubtful(transcript, speech_seconds, code):
    notice, = check_transcript("/a.wav", transcript, speech_seconds + 0.3, speech_seconds)
    assert notice.code == code and "/a.wav" in notice.message("/a.wav")


def test_noise_is_not_judged_as_slow_speech():
    """Where no speech was found, its length is unknown."""
    assert not check_transcript("a.wav", "Two words.", 20.0, 0.0)
