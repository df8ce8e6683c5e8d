"""The main language of a text."""

import pytest

from sparktts_ms.errors import InputError
from sparktts_ms.text.language import check_language, main_language


@pytest.mark.parametrize("text, language", [
    ("Is there a cake in the garden?", "en"),
    ("今天天气很好，我们去公园走走吧。", "zh"),
    ("He said 你好, and then he left the room.", "en"),
    ("我们用 MindSpore 做语音合成。", "zh"),
    ("会议9:30开始", "zh"),
    ("Добрый день, как дела?", "other"),
    ("안녕하세요.", "other"),
    ("9:30", None),
    ("MindSpore 2.7", None),
])
def test_main_language(text, language):
    assert main_language(text) == language


@pytest.mark.parametrize("languages, refused", [
    (None, []), (["en"], ["zh", "other"]), (["zh"], ["en", "other"]), (["en", "zh"], ["other"]),
    (["en", "ru"], ["zh"])])
def test_check_language(languages, refused):
    texts = {"en": "Good morning.", "zh": "早上好。", "other": "Доброе утро.", None: "9:30"}
    for language, text in texts.items():
        if language in refused:
            with pytest.raises(InputError) as caught:
                check_language(text, languages)
            assert caught.value.code == "unsupported_language"
        else:
            check_language(text, languages)


def test_unsupported_language_message():
    with pytest.raises(InputError, match="speaks English only, and the text is Chinese"):
        check_language("早上好。", ["en"])
