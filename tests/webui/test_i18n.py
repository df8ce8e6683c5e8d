"""Texts and error messages in both languages."""

from pathlib import Path

import pytest

from sparktts_ms.errors import AudioError, InputError
from webui.i18n import LOCALES, error_message


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
