"""Texts and error messages in both languages."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sparktts_ms import Sampling, SpeechRequest
from sparktts_ms.audio.recording import read_recording
from sparktts_ms.errors import AudioError, InputError, NoSpeech, Notice, SparkTTSError
from sparktts_ms.serving.voices.store import VoiceStore
from webui.i18n import LOCALES, error_message, notice_message


@pytest.mark.parametrize("section", ["page", "hints", "notices", "errors"])
def test_languages_have_the_same_keys(section):
    english = LOCALES["en"][section]
    chinese = LOCALES["zh"][section]
    assert english.keys() == chinese.keys()
    assert all(english.values()) and all(chinese.values())


def test_errors_show_file_names_and_hints_of_the_page():
    error = AudioError("{subject} is silent.", "Give another path.", subject=Path("/srv/tmp/a.wav"))
    assert error_message(error) == "a.wav is silent. Give another path."
    assert error_message(error, "zh") == "这段录音不能用。a.wav is silent. Give another path."
    error = InputError("The server is busy.", "Wait.", code="busy")
    assert error_message(error) == "The server is busy. Please try again in a minute."
    assert error_message(error, "zh").endswith("请过一会儿再试。")
    error = InputError("There is no text to speak.", "Give a text.", code="no_text")
    for language, locale in LOCALES.items():
        assert error_message(error, language) == locale["errors"]["no_text"]


SOUND = np.sin(np.arange(16000) / 10)
RECORDINGS = {
    "empty": b"",
    "text": b"This is no sound at all.",
    "m4a": b"\0\0\0\x20ftypM4A " + b"\0" * 300,
    "silent": np.zeros(32000),
    "short": SOUND[:100],
    "infinite": np.where(np.arange(16000) == 9, np.inf, SOUND),
    "no_samples": SOUND[:0],
}


@pytest.mark.parametrize("kind", RECORDINGS)
def test_errors_of_recordings_are_in_chinese(tmp_path, kind):
    """All of the sentence: what the library says in English is known to the locale."""
    path = tmp_path / "录音.wav"
    content = RECORDINGS[kind]
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        soundfile.write(path, content, 16000, subtype="FLOAT")
    with pytest.raises(AudioError) as caught:
        read_recording(path)
    check_chinese(caught.value)


def check_chinese(error):
    message = error_message(error, "zh")
    formats = "wav flac ogg opus mp3 m4a webm WAV MP4 M4A MOV Hz or".split()
    assert set(re.findall(r"[A-Za-z]\w+", message, re.ASCII)) <= {*formats}, message
    assert re.search(r"[\u4e00-\u9fff]", message) and "\n" not in message


@pytest.mark.parametrize("name", ["", "../x", "x" * 41, "nobody"])
def test_errors_of_voices_are_in_chinese(tmp_path, name):
    with pytest.raises(SparkTTSError) as caught:
        VoiceStore(tmp_path).load(name)
    message = error_message(caught.value, "zh")
    assert "voice" not in message and re.search(r"[\u4e00-\u9fff]", message)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SpeechRequest("Hi.", None, "male", 9999.0),
        lambda: SpeechRequest("Hi.", None, "male", "low", 99.0),
        lambda: Sampling(seed=-3),
    ],
)
def test_errors_of_numbers_are_in_chinese(make):
    with pytest.raises(InputError) as caught:
        make()
    check_chinese(caught.value)


def test_speech_that_did_not_continue_a_recording_asks_for_the_transcript():
    """Which is the likely reason; the controls are named, not the arguments of the library."""
    problem = "The model ended before it spoke."
    error = NoSpeech(problem, "Leave it out.", code="no_speech_continued")
    english, chinese = (error_message(error, language) for language in LOCALES)
    assert "transcript" in english and "leave it empty" in english and "Leave it out" not in english
    assert "录音" in chinese and "留空" in chinese and not re.search("[A-Za-z]", chinese)


def test_too_long_a_prompt_is_named_in_chinese():
    problem = "Text and prompt make 5000 tokens; at most 4095 fit."
    message = error_message(InputError(problem, code="prompt_too_long"), "zh")
    assert "5000" in message and "4095" in message and "Text" not in message


def test_every_notice_can_be_said():
    """With the fields that it has in the library, in both languages."""
    for language, locale in LOCALES.items():
        for code, text in locale["notices"].items():
            fields = {name: 1.0 for name in re.findall(r"{(\w+)[:}]", text) if name != "subject"}
            notice = Notice(code, "English", tuple(fields.items()))
            assert "a.wav" in notice_message(notice, "/tmp/a.wav", language)
