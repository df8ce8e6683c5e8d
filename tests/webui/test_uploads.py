"""What is kept of uploads."""

import os
import time
from io import BytesIO

import pytest

from sparktts_ms.errors import InputError
from webui import uploads as uploads_module
from webui.temp_files import TempFiles
from webui.uploads import Uploads, clean_name


@pytest.fixture
def uploads():
    temp_files = TempFiles()
    yield Uploads(temp_files, max_bytes=1000, max_visitor_bytes=400)
    temp_files.close()


def upload(uploads, visitor, content, name="a.wav"):
    with uploads.reserve(visitor, len(content)):
        return uploads.keep(visitor, BytesIO(content), name)


def test_uploads_are_kept_under_their_names(uploads):
    path = upload(uploads, "one", b"content", "../x/my voice.wav")
    assert path.read_bytes() == b"content" and path.name == "my voice.wav"
    assert path.parent.parent == uploads.temp_files.folder
    assert upload(uploads, "two", b"content", "my voice.wav") == path


def test_a_visitor_has_a_share(uploads):
    for n in range(4):
        upload(uploads, "one", bytes([n]) * 100)
    with pytest.raises(InputError, match="Too many") as caught:
        upload(uploads, "one", b"x" * 100)
    assert caught.value.code == "busy"
    upload(uploads, "two", b"y" * 100)                      # others are not concerned
    upload(uploads, "one", b"")


def test_the_same_file_counts_once(uploads):
    for _ in range(10):
        upload(uploads, "one", b"x" * 200)


def test_all_together_have_a_limit(uploads):
    for visitor in "abcde":
        upload(uploads, visitor, visitor.encode() * 200)
    with pytest.raises(InputError):
        upload(uploads, "f", b"f")


def test_what_arrives_counts(uploads):
    with uploads.reserve("one", 300), pytest.raises(InputError), uploads.reserve("one", 200):
        pass
    with uploads.reserve("one", 400):
        pass
    with pytest.raises(InputError), uploads.reserve("one", 401):
        pass
    assert not uploads._arriving


def test_a_visitors_oldest_uploads_make_room_for_new_ones(uploads, monkeypatch):
    paths = [upload(uploads, "one", bytes([n]) * 100) for n in range(4)]
    other = upload(uploads, "two", b"y" * 100)
    later = time.time() + uploads_module.IN_USE_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    new = upload(uploads, "one", b"x" * 150)
    assert [path.exists() for path in [*paths, new, other]] == [False] * 2 + [True] * 4


def test_removed_files_count_no_longer(uploads):
    for n in range(4):
        os.unlink(upload(uploads, "one", bytes([n]) * 100))
    upload(uploads, "one", b"x" * 400)


@pytest.mark.parametrize(
    "name, cleaned",
    [("a.wav", "a.wav"), ("../../etc/passwd", "passwd"), ("C:\\dir\\b.WAV", "b.WAV"),
     ("我 的.wav", "我 的.wav"), ("a\0b\n.wav", "ab.wav"), ("", "file"), ("..", "file"),
     (".", "file"), (".wav", "wav"), ("a.w/v", "v"), ("x" * 500 + ".wav", "x" * 120 + ".wav"),
     ("a?b#c%d<e>.wav", "abcde.wav"), ("声" * 100 + ".wav", "声" * 40 + ".wav"),
     ("a." + "b" * 300, "a.bbbbbbbbbb")],
)
def test_names_are_safe(name, cleaned):
    assert clean_name(name) == cleaned
