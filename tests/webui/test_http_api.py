"""`POST /api`, `/tts` and their files, with the requests that existing clients send."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from tests.helpers import LONG_TEXT, PROMPT, wait_until


def read_speech(content):
    samples, rate = soundfile.read(BytesIO(content))
    assert rate == 16000 and len(samples) and np.ptp(samples) > 0
    return samples


def post_api(server, with_audio=True, **fields):
    with PROMPT.open("rb") as file:
        files = {"audio": ("../../x.wav", file)} if with_audio else None
        return httpx.post(server.url + "api", files=files, data=fields, timeout=60)


def get_tts(server, **fields):
    return httpx.get(server.url + "tts", params={"text": "Hello.", **fields}, timeout=300).json()


def test_f5_form(server):
    response = post_api(server, ref_text="", gen_text="Hello.", model="f5-tts", speed="1.5")
    assert response.status_code == 200 and response.headers["content-type"] == "audio/wav"
    read_speech(response.content)
    refused = [
        post_api(server, with_audio=False, gen_text="Hello."),
        post_api(server, ref_text="x"),
        post_api(server, gen_text="Hello.", speed="fast"),
    ]
    for response in refused:
        assert response.status_code == 400 and isinstance(response.json()["error"], str)


def test_chattts_form(server):
    form = {
        "text": "你好[uv_break]朋友。",
        "voice": "2222",
        "prompt": "[oral_2]",
        "temperature": 0.3,
        "top_p": 0.7,
        "top_k": 20,
        "skip_refine": 0,
        "custom_voice": 0,
        "is_split": 1,
    }
    response = httpx.post(server.url + "tts", data=form, timeout=60).json()
    assert (response["code"], response["msg"]) == (0, "ok")
    [file] = response["audio_files"]
    assert response["url"] == file["url"] and response["filename"] == file["filename"]
    samples = read_speech(httpx.get(file["url"]).content)
    assert len(samples) / 16000 == pytest.approx(file["audio_duration"], abs=0.01)
    assert get_tts(server)["code"] == 0
    for wrong in (
        {},
        {"text": " "},
        {"text": "Hello.", "top_p": "much"},
        {"text": "Hello.", "temperature": -1},
    ):
        refused = httpx.post(server.url + "tts", data=wrong, timeout=60).json()
        assert refused["code"] == 1 and refused["msg"]


def test_voice_from_seed_is_reproducible(server):
    def synthesize(**form):
        return httpx.get(get_tts(server, **form)["url"]).content

    first = synthesize(voice=4711)
    voice = server.sessions.voice_from_seed(4711)
    server.sessions.voice_from_seed.cache_clear()
    repeated = server.sessions.voice_from_seed(4711)
    np.testing.assert_array_equal(repeated.global_ids, voice.global_ids)
    assert synthesize(voice=4711) == first == synthesize(voice=1, custom_voice=4711)
    other = server.sessions.voice_from_seed(4712)
    assert not np.array_equal(other.global_ids, voice.global_ids)


def test_fifty_concurrent_requests(server):
    with ThreadPoolExecutor(50) as pool:
        texts = [f"Hello number {n}." for n in range(50)]
        responses = list(pool.map(lambda text: get_tts(server, text=text, voice=5), texts))
    assert [response["code"] for response in responses] == [0] * 50
    assert wait_until(lambda: not server.sessions.service.jobs)


@pytest.mark.parametrize(
    "path, form",
    [("tts", {"text": LONG_TEXT, "voice": 5}), ("api", {"gen_text": LONG_TEXT, "ref_text": ""})],
)
def test_disconnecting_client_cancels_its_request(server, path, form):
    server.sessions.voice_from_seed(5)
    with PROMPT.open("rb") as file, pytest.raises(httpx.ReadTimeout):
        files = {"audio": file} if path == "api" else None
        httpx.post(server.url + path, data=form, files=files, timeout=2)
    assert wait_until(lambda: not server.sessions.service.jobs, 10)


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/file=/etc/passwd",
        "gradio_api/file=requirements.txt",
        "static/wavs/../../etc/passwd",
        "static/wavs/%2e%2e/%2e%2e%2fetc%2fpasswd",
        "static/wavs/" + "0" * 32 + "/000000.wav",
        "live/x",
        "live/%2e%2e",
        "gradio_api/file=voices/Anna.json",
    ],
)
def test_no_endpoint_reads_other_files(server, path):
    assert httpx.get(server.url + path).status_code in (403, 404)


def test_uploads_are_removed_after_the_response(server):
    before = set(server.temp_files.folder.rglob("*"))
    assert post_api(server, gen_text="Hi.").is_success
    assert set(server.temp_files.folder.rglob("*")) == before


def test_full_disk_is_one_line(server, monkeypatch):
    def fail(self, *_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fail)
        response = get_tts(server)
    assert response["code"] == 1 and "No space left" in response["msg"]
    assert str(server.temp_files.folder) not in response["msg"]
    assert wait_until(lambda: not server.sessions.service.jobs)
