"""Bad input and bad days: nothing outside the folders is reached, nothing stays behind, and everybody is told in one line."""

import errno
import os
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.testclient import TestClient

from sparktts_ms.errors import OutputError, VoiceError
from sparktts_ms.voice import Voice
from sparktts_ms.web import wording
from sparktts_ms.web.middleware import Guard
from sparktts_ms.web.temp_files import Workspace
from sparktts_ms.web.voice_store import Shelf
from tests.web.conftest import PROMPT

VOICE = Voice(np.arange(32, dtype=np.int32))
TRICKS = ["", " ", ".", "..", "../out", "a/b", "a\\b", "/etc/passwd", "a\0b", "a\nb", ".hidden", "-flag", "x" * 41, "声" * 41,
          "a:b", "con*", "a\u202eb", "~root", "%2e%2e"]


@pytest.mark.parametrize("name", TRICKS)
def test_a_trick_is_no_name(tmp_path, name):
    shelf = Shelf(tmp_path / "voices")
    (tmp_path / "out.json").write_text("{}")
    for act in (lambda: shelf.save(name, VOICE), lambda: shelf.load(name), lambda: shelf.delete(name), lambda: shelf.file(name)):
        with pytest.raises(VoiceError) as caught:
            act()
        assert str(tmp_path) not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.json"]


@pytest.mark.parametrize("name", ["Anna", "小明 2", "Ünal_x-1", "देव"])
def test_a_voice_is_kept_found_and_deleted(tmp_path, name):
    shelf = Shelf(tmp_path / "voices")
    assert shelf.names() == [] and shelf.save(f" {name} ", VOICE) == name and shelf.names() == [name]
    np.testing.assert_array_equal(shelf.load(name).global_ids, VOICE.global_ids)
    with pytest.raises(OutputError, match="already"):
        shelf.save(name.upper(), VOICE)
    shelf.delete(name)
    with pytest.raises(VoiceError, match="no voice named"):
        shelf.load(name)


def test_links_on_the_shelf_are_no_voices(tmp_path):
    shelf, outside = Shelf(tmp_path / "voices"), VOICE.save(tmp_path / "outside.json")
    shelf.folder.mkdir()
    (shelf.folder / "link.json").symlink_to(outside)
    assert shelf.names() == []
    for act in (shelf.load, shelf.delete, shelf.file):
        with pytest.raises(VoiceError):
            act("link")
    assert outside.exists()


def test_only_a_voice_file_can_be_brought(tmp_path):
    shelf = Shelf(tmp_path / "voices")
    assert shelf.bring(VOICE.save(tmp_path / "Bob.json")) == "Bob"
    (tmp_path / "Eve.json").write_text('{"format": "something else"}')
    with pytest.raises(VoiceError, match=r"Eve\.json is no voice") as caught:
        shelf.bring(tmp_path / "Eve.json")
    assert str(tmp_path) not in str(caught.value)


def test_old_files_go_and_new_ones_stay():
    workspace = Workspace(age=100)
    old, new = workspace.new("a.wav"), workspace.new("a.wav")
    for path in (old, new):
        path.parent.mkdir()
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 200,) * 2)
    workspace.sweep()
    assert not old.exists() and new.exists()
    workspace.close()
    assert not workspace.folder.exists()


@pytest.mark.parametrize("headers,status", [
    ({}, 200), ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Origin": "http://127.0.0.1:1"}, 403)])
@pytest.mark.parametrize("path", ["tts", "api", "gradio_api/upload"])
def test_forms_of_other_sites_are_refused(site, path, headers, status):
    answer = httpx.post(site.url + path, data={"text": ""}, headers=headers)
    assert (answer.status_code == 403) == (status == 403)


def test_a_page_of_another_site_cannot_make_a_browser_fetch_speech(site):
    assert httpx.get(site.url + "tts", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert httpx.get(site.url, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200      # a link to the page is fine
    own = site.url.rstrip("/")
    assert httpx.post(site.url + "tts", data={"text": ""}, headers={"Origin": own}).json()["code"] == 1


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("path", ["api", "tts", "gradio_api/upload"])
def test_what_is_too_large_is_refused(site, path, declared):
    head = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
    pieces = [head, *[b"\0" * (1 << 20)] * 5, b"\r\n--x--\r\n"]
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    body = b"".join(pieces) if declared else iter(pieces)
    try:
        answer = httpx.post(site.url + path, content=body, headers=kind, timeout=60)
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        return                                  # hung up on before all was sent
    assert answer.status_code == 413


@pytest.mark.parametrize("path", [
    "gradio_api/file=/etc/passwd", "gradio_api/file=requirements.txt", "static/wavs/../../etc/passwd",
    "static/wavs/%2e%2e/%2e%2e%2fetc%2fpasswd", "static/wavs/" + "0" * 32 + "/000000.wav", "live/x", "live/%2e%2e",
    "gradio_api/file=voices/Anna.json"])
def test_no_endpoint_reads_outside_the_folders(site, path):
    assert httpx.get(site.url + path).status_code in (403, 404)


def test_the_upload_of_the_form_is_gone_when_it_is_answered(site):
    before = set(site.workspace.folder.rglob("*"))
    with PROMPT.open("rb") as file:
        files = {"audio": ("../../x.wav", file)}
        assert httpx.post(site.url + "api", files=files, data={"gen_text": "Hi."}, timeout=60).is_success
    assert set(site.workspace.folder.rglob("*")) == before


@pytest.mark.parametrize("number, status", [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EACCES, None)])
def test_an_upload_to_a_full_disk_is_answered(number, status):
    def store(request):
        raise OSError(number, os.strerror(number))
    app = Starlette(routes=[Route("/upload", store, methods=["POST"])], middleware=[Middleware(Guard)])
    client = TestClient(app)
    if status is None:
        with pytest.raises(OSError):
            client.post("/upload")
    else:
        answer = client.post("/upload")
        assert answer.status_code == status and "disk is full" in answer.text


def test_a_full_disk_is_said_in_one_line(site, monkeypatch):
    def full(self, *_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        answer = httpx.get(site.url + "tts", params={"text": "Hello."}, timeout=60).json()
    assert answer["code"] == 1 and "No space left" in answer["msg"] and str(site.workspace.folder) not in answer["msg"]
    assert not site.speaker.service.jobs


def test_both_languages_have_the_same_words():
    english, chinese = wording.WORDS["en"], wording.WORDS["zh"]
    assert english.keys() == chinese.keys() and all(english.values()) and all(chinese.values())


def test_visitors_of_a_shared_server_have_shelves_of_their_own(site):
    shelf_of = site._shelves(None)
    shelf_of("one").save("Anna", VOICE)
    assert shelf_of("one").names() == ["Anna"] and shelf_of("two").names() == []
    assert site.workspace.folder in shelf_of("../../etc").folder.parents
