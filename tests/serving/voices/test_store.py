"""Saved voices: names, links and uploaded files."""

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, TimeoutError

import numpy as np
import pytest

from sparktts_ms.errors import OutputError, VoiceError
from sparktts_ms.serving.voices import store as voice_store
from sparktts_ms.serving.voices.store import LOCK, VoiceStore, normalize_name
from sparktts_ms.voice import Voice
from tests.helpers import ROOT
from webui.i18n import error_message

VOICE = Voice(np.arange(32, dtype=np.int32))
INVALID_NAMES = [
    "",
    " ",
    ".",
    "..",
    "../out",
    "a/b",
    "a\\b",
    "/etc/passwd",
    "a\0b",
    "a\nb",
    ".hidden",
    "-flag",
    "x" * 41,
    "声" * 41,
    "a:b",
    "con*",
    "a\u202eb",
    "\ud800",
    "~root",
    "%2e%2e",
]


@pytest.mark.parametrize("name", ["a" + "\u0301\u0316" * 1000, "\u0316\u0301" * 101])
def test_long_names_are_not_normalized(monkeypatch, name):
    """The time for marks that are out of order grows with the square of their number."""
    lengths = []
    monkeypatch.setattr(voice_store.unicodedata, "normalize",
                        lambda form, text: lengths.append(len(text)) or text)
    with pytest.raises(VoiceError, match="at most 40"):
        normalize_name(name)
    assert max(lengths, default=0) <= 200


@pytest.fixture
def store(tmp_path):
    return VoiceStore(tmp_path / "voices")


@pytest.mark.parametrize("name", INVALID_NAMES)
def test_invalid_names_are_refused(store, tmp_path, name):
    (tmp_path / "out.json").write_text("{}")
    actions = [
        lambda: store.save(name, VOICE),
        lambda: store.load(name),
        lambda: store.delete(name),
        lambda: store.file(name),
    ]
    for action in actions:
        with pytest.raises(VoiceError) as caught:
            action()
        assert str(tmp_path) not in error_message(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.json"]


@pytest.mark.parametrize("name", ["Anna", "小明 2", "Ünal_x-1", "देव"])
def test_save_load_and_delete(store, name):
    assert store.names() == []
    assert store.save(f" {name} ", VOICE) == name
    assert store.names() == [name]
    np.testing.assert_array_equal(store.load(name).global_ids, VOICE.global_ids)
    with pytest.raises(OutputError, match="already"):
        store.save(name.upper(), VOICE)
    store.delete(name)
    with pytest.raises(VoiceError, match="no voice named"):
        store.load(name)


def test_the_limit_holds_for_several_processes(store, monkeypatch):
    """Each process lists the names and saves while no other does."""
    monkeypatch.setattr(voice_store, "MAX_VOICES", 5)

    def save(n):
        with contextlib.suppress(OutputError):
            VoiceStore(store.folder).save(f"voice {n}", VOICE)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(save, range(40)))
    assert len(store.names()) == 5


def test_a_lock_of_another_process_is_awaited(store):
    store.save("Anna", VOICE)
    script = ("import sys; from sparktts_ms.storage.file_lock import FileLock; "
              "FileLock(sys.argv[1]).acquire(); "
              "print('held', flush=True); sys.stdin.read()")
    command = [sys.executable, "-c", script, str(store.folder / LOCK)]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": ROOT}
    with subprocess.Popen(command, **options) as holder, ThreadPoolExecutor(1) as pool:
        holder.stdout.readline()
        saving = pool.submit(store.save, "Bob", VOICE)
        with pytest.raises(TimeoutError):
            saving.result(0.3)
        holder.kill()
        assert saving.result(30) == "Bob"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_voices_are_saved_where_there_are_no_locks(store, monkeypatch, number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    assert store.save("Anna", VOICE) == "Anna"
    with pytest.raises(OutputError, match="already"):
        store.save("Anna", VOICE)


@pytest.mark.parametrize("folder", ["file", "file/x", "x" * 300])
def test_what_can_be_no_folder_of_voices_is_one_error(tmp_path, folder):
    (tmp_path / "file").touch()
    store = VoiceStore(tmp_path / folder)
    for action in (store.check, lambda: store.save("Anna", VOICE)):
        with pytest.raises(OutputError) as caught:
            action()
        assert "\n" not in str(caught.value)
    VoiceStore(tmp_path / "missing").check()


def test_symbolic_links_are_not_voices(store, tmp_path):
    outside = VOICE.save(tmp_path / "outside.json")
    store.folder.mkdir()
    (store.folder / "link.json").symlink_to(outside)
    assert store.names() == []
    for action in (store.load, store.delete, store.file):
        with pytest.raises(VoiceError):
            action("link")
    assert outside.exists()


def test_add_file_accepts_voices_only(store, tmp_path):
    assert store.add_file(VOICE.save(tmp_path / "Bob.json")) == "Bob"
    (tmp_path / "Eve.json").write_text('{"format": "something else"}')
    with pytest.raises(VoiceError) as caught:
        store.add_file(tmp_path / "Eve.json")
    message = error_message(caught.value)
    assert message.startswith("Eve.json is no voice") and str(tmp_path) not in message


@pytest.mark.parametrize("missing", ["", "voices/of/ours"])
def test_a_folder_in_which_nothing_can_be_saved_is_a_warning(tmp_path, monkeypatch, caplog,
                                                             missing):
    folder = tmp_path / missing
    VoiceStore(folder).check()
    assert not caplog.messages
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path and access(path, mode))
    VoiceStore(folder).check()
    assert caplog.messages == [f"No voice can be saved in {folder}: this user may not write there."]
