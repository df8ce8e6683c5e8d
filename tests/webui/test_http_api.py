"""`POST /api`, `/tts` and their files, with the requests that existing clients send."""

import errno
import os
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from tests.helpers import LONG_TEXT, PROMPT, wait_until
from webui.sessions import Limits


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


def test_filename_is_a_path_for_clients_on_this_machine(server):
    """pyVideoTrans opens it where its address of the server holds 127.0.0.1 or localhost."""
    port = server.http.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        response = httpx.post(f"http://{host}/tts", data={"text": "Hello."}, timeout=60).json()
        path = Path(response["filename"])
        assert path.is_absolute() and server.temp_files.folder in path.parents
        assert path.read_bytes() == httpx.get(response["url"]).content


def test_filename_tells_others_no_path(make_server):
    server = make_server(allowed_hosts=["tts.example"])
    for headers in ({"Host": "tts.example"}, {"X-Forwarded-For": "192.0.2.1"},
                    {"Forwarded": "for=192.0.2.1"}):
        response = httpx.post(server.url + "tts", data={"text": "Hello."}, headers=headers,
                              timeout=60).json()
        assert re.fullmatch(r"[0-9a-f]{32}/\d{6}\.wav", response["filename"])
        assert str(server.temp_files.folder) not in str(response)


def test_unknown_voice_is_an_error_that_names_the_voices(server):
    response = get_tts(server, voice="Nobody")
    assert response["code"] == 1 and "no voice named Nobody" in response["msg"]
    server.shared_store.save("Anna", server.sessions.voice_from_seed(3))
    try:
        assert "Anna" in get_tts(server, voice="Nobody")["msg"]
        assert get_tts(server, voice="Anna")["code"] == 0
        assert get_tts(server, voice="")["code"] == 0
        for name in ("../Anna", "x" * 1000, "1031.pt", "a\nb\x1b[31m", "anna"):
            refused = get_tts(server, voice=name)
            assert refused["code"] == 1 and "\n" not in refused["msg"]
            assert len(refused["msg"]) < 300 and refused["msg"].isprintable()
        assert get_tts(server, voice="Nobody", custom_voice=4)["code"] == 0
    finally:
        server.shared_store.delete("Anna")


@pytest.mark.parametrize("speed", ["nan", "inf", "-inf", "0", "-1", "1e400", "-0.0"])
def test_impossible_speeds_are_refused_before_the_work(server, monkeypatch, speed):
    monkeypatch.setattr(server.sessions, "encode_voice", None)
    response = post_api(server, gen_text="Hello.", speed=speed)
    assert response.status_code == 400 and "speed" in response.json()["error"]


def test_too_many_requests_are_refused_at_once(make_server):
    server = make_server(limits=Limits(requests=2))
    server.sessions.voice_from_seed(5)
    with ThreadPoolExecutor(10) as pool:
        form = {"text": LONG_TEXT, "voice": 5}
        waiting = [pool.submit(httpx.post, server.url + "tts", data=form, timeout=300)
                   for _ in range(2)]
        assert wait_until(lambda: len(server.sessions._jobs) == 2)
        for path in ("tts", "api"):
            refused = httpx.post(server.url + path, data={"text": "Hello."}, timeout=5)
            assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0
            assert "busy" in refused.text and refused.json()
        server.sessions.close()
        assert [future.result().json()["code"] for future in waiting] == [1, 1]
    assert get_tts(server)["code"] == 0


def test_half_sent_bodies_are_not_awaited_for_ever(make_server):
    server = make_server(limits=Limits(body_seconds=0.3))
    head = b"Host: localhost\r\nContent-Length: 1000\r\nContent-Type: "
    urlencoded = b"application/x-www-form-urlencoded\r\n\r\ntext=Hello"
    multipart = b"multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    for path, rest in ((b"/tts", urlencoded), (b"/api", multipart),
                       (b"/gradio_api/upload", multipart), (b"/gradio_api/queue/join", urlencoded)):
        with socket.create_connection(("127.0.0.1", server.http.port), timeout=30) as connection:
            connection.sendall(b"POST " + path + b" HTTP/1.1\r\n" + head + rest)
            assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_upload_progress_ends_with_the_upload(server):
    address = server.url + "gradio_api/upload_progress?upload_id=a"
    with ThreadPoolExecutor(1) as pool:
        messages = pool.submit(httpx.get, address, timeout=30)
        response = httpx.post(server.url + "gradio_api/upload", params={"upload_id": "a"},
                              files={"files": ("a", b"abc")})
        assert '"msg": "done"' in messages.result().text
    [path] = response.json()
    assert Path(path).read_bytes() == b"abc"
    assert '"msg": "done"' in httpx.get(address, timeout=30).text       # an unknown one ends, too


@pytest.mark.parametrize("name", ["我 的.wav", "../../x.wav", "a\\b.wav", "x" * 400 + ".wav", "."])
def test_uploads_of_any_name_can_be_fetched_again(server, name):
    [path] = httpx.post(server.url + "gradio_api/upload", files={"files": (name, b"abc")}).json()
    assert server.temp_files.folder in Path(path).parents
    assert httpx.get(server.url + "gradio_api/file=" + path).content == b"abc"


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
