"""A voice in a file: read back as it was, or refused in one line."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.errors import OutputError, VoiceError
from sparktts_ms.voice import MAX_FILE_BYTES, Voice

IDS = st.lists(st.integers(0, 8191), min_size=1, max_size=200).map(
    lambda ids: np.array(ids, np.int32))
ENTRY = {"format": "spark-tts-voice", "version": 1, "global_ids": [1] * 32, "semantic_ids": [],
         "transcript": None}


@given(IDS, st.none() | st.tuples(IDS, st.text(min_size=1).filter(str.strip)))
def test_save_and_load(tmp_path_factory, global_ids, recording):
    voice = Voice(global_ids) if recording is None else Voice(global_ids, *recording)
    path = voice.save(tmp_path_factory.mktemp("voices") / "saved.json")
    loaded = Voice.load(path)
    np.testing.assert_array_equal(loaded.global_ids, voice.global_ids)
    np.testing.assert_array_equal(loaded.semantic_ids, voice.semantic_ids)
    assert loaded.transcript == voice.transcript
    with pytest.raises(OutputError, match="exists"):
        voice.save(path)
    voice.save(path, overwrite=True)


@pytest.mark.parametrize("change", [
    {"format": "other"}, {"version": "1"}, {"version": 2},
    {"global_ids": []}, {"global_ids": [1.5] * 32}, {"global_ids": [True]}, {"global_ids": [-1]},
    {"global_ids": [10**30]}, {"global_ids": [1] * 10000}, {"global_ids": {"1": 1}},
    {"semantic_ids": [3]}, {"semantic_ids": None},
    {"transcript": "words"}, {"transcript": 7, "semantic_ids": [3]},
    {"transcript": " ", "semantic_ids": [3]},
])
def test_invalid_entries_are_refused(tmp_path, change):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(ENTRY | change))
    with pytest.raises(VoiceError) as error:
        Voice.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert error.value.subject == path and error.value.code == "not_a_voice"


def containers(values):
    return st.lists(values) | st.dictionaries(st.sampled_from(list(ENTRY)), values)


JSON = st.recursive(st.none() | st.integers() | st.text(), containers)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_arbitrary_bytes_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("voices") / "any.json"
    path.write_bytes(content)
    with pytest.raises(VoiceError):
        Voice.load(path)


def test_large_nested_and_missing_files_are_refused(tmp_path):
    (tmp_path / "large.json").write_bytes(b"[" * (MAX_FILE_BYTES + 10))
    (tmp_path / "nested.json").write_bytes(b"[" * 100_000)
    for name in ("large.json", "nested.json", "missing.json", "."):
        with pytest.raises(VoiceError):
            Voice.load(tmp_path / name)
