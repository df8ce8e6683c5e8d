"""The prompt's ids."""

import pytest

from sparktts_ms.generation.prompt import join_transcript


@pytest.mark.parametrize("transcript, text, joined", [
    ("Hello there", "friend", "Hello there friend"), ("Hello.", "Friend", "Hello.Friend"),
    ("公园", "短的", "公园短的"), ("in 1999", "he", "in 1999 he"), ("公园", "ok", "公园ok"),
    ("ok", "公园", "ok公园"), ("", "text", "text"), ("안녕", "하세요", "안녕 하세요"),
    ("привет", "мир", "привет мир")])
def test_words_are_separated_where_transcript_and_text_meet(transcript, text, joined):
    assert join_transcript(transcript, text) == joined
