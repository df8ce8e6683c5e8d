"""The folder of voices: a known recording is not encoded, another one or another model never gets
its voice, and what is in the folder is not trusted."""

import errno
import json
import os
import stat
import threading
import time

import numpy as np
import pytest
import soundfile

from sparktts_ms import SparkTTS, Voice
from sparktts_ms.errors import OutputError
from sparktts_ms.generation import voice_cache
from sparktts_ms.generation.voice_cache import VoiceCache
from sparktts_ms.generation.voice_encoder import VoiceEncoder
from sparktts_ms.weights import cache_folder
from tests.audio.signals import RATE, read_speech, sounds
from tests.helpers import generate_model

TRANSCRIPT = "Good morning to all."


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept"


@pytest.fixture
def recording(wavs):
    return wavs / "p16k_mono_3s.wav"


@pytest.fixture
def new_encoder(shared_tts, folder):
    """Makes one with an empty memory, as another process has it; without networks: one that fails
    to encode."""
    shared = shared_tts().voice_encoder

    def make(networks=True, version="1", path=folder, tts=None):
        model = tts.voice_encoder if tts else shared
        encoder = VoiceEncoder(model.wav2vec2_file, model.codec, model.config, model.runtime,
                               VoiceCache(path, version))
        if not networks:
            encoder._encode = lambda *recording: pytest.fail("the recording is encoded")
        return encoder

    return make


def files(folder):
    return sorted(folder.glob("*.voice"))


def assert_same(voice, expected):
    np.testing.assert_array_equal(voice.global_ids, expected.global_ids)
    np.testing.assert_array_equal(voice.semantic_ids, expected.semantic_ids)
    assert voice.transcript == expected.transcript
    assert voice.notices == expected.notices


@pytest.mark.parametrize("transcript", [None, TRANSCRIPT])
def test_known_recording_is_not_encoded(new_encoder, recording, folder, shared_tts, transcript):
    encoded = shared_tts().voice_encoder.encode(recording, transcript)
    assert_same(new_encoder().encode(recording, transcript), encoded)
    kept = new_encoder(networks=False).encode(recording, transcript)
    assert_same(kept, encoded)
    assert len(files(folder)) == 1
    with pytest.raises(ValueError):
        kept.global_ids[0] = 1


def test_networks_are_not_loaded(tiny_model, recording, folder, monkeypatch):
    """Neither wav2vec 2.0 nor a part of the codec."""
    first = SparkTTS.from_pretrained(tiny_model, "CPU", voice_cache=folder)
    voice = first.encode_voice(recording, TRANSCRIPT)
    for name in ("generation.voice_encoder.FeatureExtractor", "bicodec.codec.SpeakerEncoder",
                 "bicodec.codec.SemanticEncoder", "bicodec.codec.Codebook"):
        monkeypatch.setattr(f"sparktts_ms.{name}", None)
    second = SparkTTS.from_pretrained(tiny_model, "CPU", voice_cache=folder)
    assert_same(second.encode_voice(recording, TRANSCRIPT), voice)
    assert second.voice_encoder._features is None
    assert not {"speaker_encoder", "semantic_encoder", "codebook"} & vars(second.codec).keys()


def test_each_recording_and_transcript_has_a_voice_of_its_own(new_encoder, recording, wavs, folder):
    encoder = new_encoder()
    for path, transcript in ((recording, None), (recording, TRANSCRIPT), (recording, "Good day."),
                             (wavs / "p24k_mono_0s5.wav", None)):
        assert encoder.encode(path, transcript).transcript == transcript
    assert len(files(folder)) == 4
    again = new_encoder(networks=False)
    assert again.encode(recording, f" {TRANSCRIPT}\n").transcript == TRANSCRIPT
    assert again.encode(recording, " ").transcript is None


def test_other_model_and_version_have_other_voices(new_encoder, recording, folder, tmp_path):
    new_encoder().encode(recording)
    new_encoder(version="2").encode(recording)
    assert len(files(folder)) == 2
    other = SparkTTS.from_pretrained(
        generate_model(tmp_path / "model", "--size", "tiny", "--seed", "9"), "CPU")
    assert_same(new_encoder(tts=other).encode(recording), other.encode_voice(recording))
    assert len(files(folder)) == 3


def test_notices_are_said_again(new_encoder, tmp_path, caplog):
    path = tmp_path / "late.wav"
    soundfile.write(path, np.concatenate([sounds(4)["music"], read_speech()]), RATE)
    voice = new_encoder().encode(path)
    caplog.clear()
    again = new_encoder(networks=False).encode(path)
    assert [notice.code for notice in again.notices] == ["late_speech"]
    assert caplog.messages == [voice.notices[0].message(path)]


def test_file_is_a_voice_that_only_the_user_can_read(new_encoder, recording, folder):
    voice = new_encoder().encode(recording, TRANSCRIPT)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path, = files(folder)
    assert_same(Voice.load(path), voice)
    assert not any(word in path.name for word in ("p16k", "Good"))


def changed(**fields):
    return lambda content: json.dumps({**json.loads(content), **fields}).encode()


@pytest.mark.parametrize("damage", [
    lambda content: b"", lambda content: content[:40], lambda content: bytes(len(content)),
    lambda content: b"[" * 100_000, lambda content: b" " * (2 << 20), changed(version=2),
    changed(global_ids=[1 << 19] * 32), changed(global_ids=[1] * 31), changed(global_ids=[-1] * 32),
    changed(semantic_ids=[]), changed(semantic_ids=[1, 2]), changed(semantic_ids=[1 << 19] * 150),
    changed(transcript="Another one."), changed(transcript=None)], ids=range(14))
def test_damaged_file_is_replaced(new_encoder, recording, folder, caplog, damage):
    voice = new_encoder().encode(recording, TRANSCRIPT)
    assert len(voice.semantic_ids) == 150
    path, = files(folder)
    content = path.read_bytes()
    path.write_bytes(damage(content))
    caplog.clear()
    assert_same(new_encoder().encode(recording, TRANSCRIPT), voice)
    assert sum("damaged" in message for message in caplog.messages) == 1
    assert all("\n" not in message for message in caplog.messages)
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["link", "pipe", "writable"])
def test_file_of_others_is_replaced(new_encoder, recording, folder, tmp_path, kind):
    voice = new_encoder().encode(recording)
    path, = files(folder)
    content = path.read_bytes()
    other = tmp_path / "other"
    if kind == "writable":
        path.chmod(0o666)
    else:
        path.rename(other)
        path.symlink_to(other) if kind == "link" else os.mkfifo(path)
    assert_same(new_encoder().encode(recording), voice)
    assert stat.S_ISREG(path.lstat().st_mode) and stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert path.read_bytes() == content
    assert kind == "writable" or other.read_bytes() == content


def test_folder_that_others_can_write_is_not_used(new_encoder, recording, folder, caplog):
    encoder = new_encoder()
    folder.chmod(0o777)
    encoder.encode(recording)
    assert not list(folder.iterdir())
    assert sum("alone" in message for message in caplog.messages) == 1


def test_least_recently_used_voices_go(new_encoder, recording, folder, monkeypatch):
    monkeypatch.setattr(voice_cache, "MAX_VOICES", 3)
    encoder = new_encoder()
    transcripts = ["One word.", "Two words.", "Three words."]
    for number, transcript in enumerate(transcripts):
        known = set(files(folder))
        encoder.encode(recording, transcript)
        path, = set(files(folder)) - known
        then = time.time() - 1000 + number
        os.utime(path, (then, then))
    new_encoder(networks=False).encode(recording, transcripts[0])       # used again
    (folder / "of-the-user.json").write_text("")
    encoder.encode(recording, "Four words.")
    assert len(files(folder)) == 3
    kept = {Voice.load(path).transcript for path in files(folder)}
    assert kept == {transcripts[0], transcripts[2], "Four words."}
    assert (folder / "of-the-user.json").exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
def test_folder_that_takes_nothing(new_encoder, recording, wavs, folder, monkeypatch, caplog,
                                   number):
    new_encoder().encode(recording)

    def fail(path):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(cache_folder, "create_file", fail)
    encoder = new_encoder()
    encoder.encode(recording, TRANSCRIPT)
    encoder.encode(wavs / "p24k_mono_0s5.wav")
    assert sum(os.strerror(number) in message for message in caplog.messages) == 1
    assert len(files(folder)) == 1
    new_encoder(networks=False).encode(recording)       # what was kept before is still read


def test_many_writers_and_readers(recording, folder):
    cache = VoiceCache(folder, "1")
    key = cache.key([recording])
    voice = Voice(np.arange(32, dtype=np.int32))
    cache.write(key, voice)
    contents = []

    def work():
        own = VoiceCache(folder, "1")
        for _ in range(50):
            own.write(key, voice)
            contents.append(own._path(key).read_bytes())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(contents) == {voice.content()} and len(contents) == 200
    assert [path.name for path in files(folder)] == [f"{key}.voice"]
    assert not list(folder.glob("*.part"))


def test_transcript_that_is_no_text_is_not_kept(recording, folder):
    cache = VoiceCache(folder, "1")
    key = cache.key([recording], "\ud800")
    ids = np.arange(32, dtype=np.int32)
    cache.write(key, Voice(ids, ids, "\ud800"))
    cache.write(key, Voice(ids, ids, "a" * (2 << 20)))
    assert not files(folder)


@pytest.mark.parametrize("name", ["file", "file/kept"])
def test_folder_that_is_a_file(tiny_model, tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a file has that name") as error:
        SparkTTS.from_pretrained(tiny_model, "CPU", voice_cache=tmp_path / name)
    assert error.value.hint


def test_default_folder_is_beside_the_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARKTTS_WEIGHT_CACHE", str(tmp_path / "weights"))
    assert voice_cache.default_folder() == tmp_path / "voices"
    monkeypatch.setenv("SPARKTTS_WEIGHT_CACHE", "0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert voice_cache.default_folder() == tmp_path / "cache" / "sparktts_ms" / "voices"


def test_nothing_is_kept_by_default(tiny_model, tmp_path, recording, monkeypatch):
    monkeypatch.setenv("SPARKTTS_WEIGHT_CACHE", str(tmp_path / "weights"))
    SparkTTS.from_pretrained(tiny_model, "CPU").encode_voice(recording)
    assert not (tmp_path / "voices").exists()
    SparkTTS.from_pretrained(tiny_model, "CPU", voice_cache=True).encode_voice(recording)
    assert len(files(tmp_path / "voices")) == 1
