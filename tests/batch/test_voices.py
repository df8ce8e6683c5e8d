"""The voices of lines: files and names here, recordings and descriptions for a device; bounded."""

import numpy as np
import pytest

from sparktts_ms.batch import voices as voices_module
from sparktts_ms.batch.line import Recording, VoiceFile
from sparktts_ms.batch.voices import Voices, with_content
from sparktts_ms.errors import AudioError, VoiceError
from sparktts_ms.serving.voices.built_in import BUILT_IN_VOICES
from sparktts_ms.serving.voices.store import VoiceStore
from sparktts_ms.voice import Voice


@pytest.fixture
def store(tmp_path):
    store = VoiceStore(tmp_path / "voices")
    store.save("Anna", Voice(np.arange(32)))
    return store


def test_saved_voices_and_files_are_loaded_once(store, tmp_path, monkeypatch):
    voices = Voices(store)
    for source in ("Anna", VoiceFile(tmp_path / "voices" / "Anna.json")):
        voice = voices.find(source)
        np.testing.assert_array_equal(voice.global_ids, np.arange(32))
        monkeypatch.setattr(Voice, "load", None)
        assert voices.find(source) is voice
        monkeypatch.undo()


def test_devices_make_the_others(store, tmp_path):
    voices = Voices(store)
    recording = Recording(tmp_path / "a.wav", None)
    assert voices.find("nova") == BUILT_IN_VOICES["nova"] and voices.find(recording) is recording
    voice = Voice(np.arange(32))
    for source in ("nova", recording):
        voices.put(source, voice)
        assert voices.find(source) is voice


def test_what_is_wrong_is_kept_too(store, tmp_path):
    voices = Voices(store)
    error = voices.find("nobody")
    assert isinstance(error, VoiceError) and error.code == "unknown_voice"
    assert "'nobody'" in error.message() and "Anna, female" in error.message()
    assert voices.find("nobody") is error
    (tmp_path / "voices" / "Broken.json").write_text("{}")
    assert "Broken.json" in voices.find("Broken").message()


def test_few_voices_are_kept(store, monkeypatch):
    monkeypatch.setattr(voices_module, "MAX_VOICES", 2)
    voices = Voices(store)
    voice = Voice(np.arange(32))
    for name in ("nova", "alloy", "ash"):
        voices.put(name, voice)
    assert [voices.find(name) is voice for name in ("nova", "alloy", "ash")] == [False, True, True]


def test_recordings_go_with_their_bytes(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"sound")
    (tmp_path / "link.wav").symlink_to(path)
    assert with_content(Recording(path, "Said.")) == Recording(path, "Said.", b"sound")
    assert with_content(Recording(tmp_path / "link.wav", None)).content == b"sound"
    with pytest.raises(AudioError, match=r"none\.wav is missing"):
        with_content(Recording(tmp_path / "none.wav", None))
