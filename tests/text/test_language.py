"""The main language of a text."""

import pytest

from sparktts_ms.errors import InputError
from sparktts_ms.text.language import check_language, clause_languages, main_language


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
    ("10 Ω", None),
    ("Add 5 μg of salt.", "en"),
    ("剂量5μg，电阻5kΩ", "zh"),
    ("Καλημέρα σας.", "other"),
    ("Ⅲ ＡＢＣ Å", None),
    ("The words 你好世界朋友们 are Chinese.", "en"),
    ("我的 camera sensor resolution 是48MP", "zh"),
])
def test_main_language(text, language):
    assert main_language(text) == language


@pytest.mark.parametrize("text, parts", [
    ("OK, ¥500!", [("en", "OK, ¥500!")]),
    ("¥500", [("zh", "¥500")]),
    ("￥5", [("zh", "￥5")]),
    ("5", [("en", "5")]),
    ("价格120", [("zh", "价格120")]),
    ("The sign says 限速60公里, 2 of them.",
     [("en", "The sign says "), ("zh", "限速60公里"), ("en", ", 2 of them.")]),
    ("I have 3. 我有3个。Yes", [("en", "I have 3."), ("zh", " 我有3个。"), ("zh", "Yes")]),
])
def test_clause_languages(text, parts):
    assert [part for part in clause_languages(text) if part[1]] == parts


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
