"""Who may do what on the server: hosts, sites, keys, routes, files and saved voices."""

import errno
import json
import os
import socket
from itertools import product

import httpx
import numpy as np
import pytest
from gradio import networking
from gradio_client import Client

from sparktts_ms.errors import OutputError, VoiceError
from sparktts_ms.serving.voices.store import VoiceStore
from sparktts_ms.voice import Voice
from tests.helpers import PROMPT
from webui.app import Settings

VOICE = Voice(np.arange(32, dtype=np.int32))
CLOSED_ROUTES = [
    "docs", "redoc", "openapi.json", "login", "logout", "monitoring", "monitoring/summary",
    "pwa_icon", "svelte/x", "gradio_api/app_id", "gradio_api/token", "gradio_api/user",
    "gradio_api/deep_link?session_hash=x", "gradio_api/startup-events", "gradio_api/queue/status",
    "gradio_api/component_server", "gradio_api/proxy=http://example.org", "gradio_api/vibe-code",
    "gradio_api/vibe-edit", "gradio_api/stream/x", "gradio_api/file/etc/passwd",
    "gradio_api/profiling/traces", "gradio_api/dev/reload", "gradio_api/mcp/",
]

CALLS = ["queue/join", "run/predict", "call/voice_clone", "cancel", "reset", "upload"]
CLIENT = httpx.Client(timeout=60)


class Visitor:
    """Stands for gr.Request of a visitor's page."""

    def __init__(self, session_hash, **state):
        self.session_hash = session_hash
        self.request = type("Request", (), {"scope": {"state": state}})


def call(server, function, inputs):
    """Call one of the page's functions by its number, as the page does; the last message."""
    body = {"data": inputs, "fn_index": function, "session_hash": f"test{function}"}
    response = CLIENT.post(server.url + "gradio_api/queue/join", json=body)
    assert response.status_code == 200
    address = server.url + f"gradio_api/queue/data?session_hash=test{function}"
    with CLIENT.stream("GET", address) as messages:
        for line in messages.iter_lines():
            if "process_completed" in line:
                return json.loads(line.removeprefix("data: "))


def functions(server):
    """Pairs of number and inputs of the page's functions that have inputs."""
    config = httpx.get(server.url + "config").json()
    return [(f["id"], f["inputs"]) for f in config["dependencies"] if f["inputs"]]


@pytest.mark.parametrize("path", ["/etc/passwd", "tests/conftest.py", "http://example.org/a.wav",
                                  "https://example.org/a.wav", "{folder}/../lock", "file:///etc/passwd"])
def test_no_function_reads_files_that_were_not_uploaded(server, path):
    path = path.format(folder=server.temp_files.folder)
    kept = set(server.temp_files.folder.rglob("*"))
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    for function, inputs in functions(server):
        result = call(server, function, [file] * len(inputs))
        assert not result["success"] and "uploaded" in result["output"]["error"]
    assert set(server.temp_files.folder.rglob("*")) == kept


@pytest.mark.parametrize("path", CLOSED_ROUTES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_routes_that_nobody_needs_are_closed(server, method, path):
    response = httpx.request(method, server.url + path)
    assert response.status_code == 404 and "error" in response.json()


def test_hosts_on_a_loopback_address(server):
    port = server.http.port
    for host in ("localhost", f"localhost:{port}", "127.0.0.1", "[::1]:80"):
        assert httpx.get(server.url + "config", headers={"Host": host}).status_code == 200
    for host in ("evil.example", f"evil.example:{port}", "0.0.0.0"):
        for path in ("", "config", "tts?text=Hello.", "gradio_api/info"):
            response = httpx.get(server.url + path, headers={"Host": host})
            assert response.status_code == 403


def test_configured_hosts(make_server):
    server = make_server(allowed_hosts=["tts.example"], root_path="https://example.org/tts")
    for host, status in (("tts.example", 200), ("example.org", 200), ("localhost", 200),
                         ("evil.example", 403)):
        assert httpx.get(server.url + "config", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("root_path", ["/speech", "https://speech.example/speech"])
def test_below_a_path_whether_or_not_the_proxy_cuts_it_off(make_server, root_path):
    server = make_server(root_path=root_path, allowed_hosts=["speech.example"])
    headers = {"Host": "speech.example", "X-Forwarded-Proto": "https",
               "X-Forwarded-For": "192.0.2.1"}
    wav = "https://speech.example/speech/static/wavs/"
    with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
        for prefix in ("", "speech/"):
            config = client.get(prefix + "config").json()
            assert config["root"] == "https://speech.example/speech"
            assert client.get(prefix + "monitoring").status_code == 404
            large = b"0" * (2 << 20)
            assert client.post(prefix + "gradio_api/cancel", content=large).status_code == 413
            response = client.post(prefix + "tts", data={"text": "Hello."}).json()
            assert response["url"] == wav + response["filename"]
            assert client.get(prefix + "static/wavs/" + response["filename"]).is_success


def test_every_host_on_a_public_address(make_server):
    server = make_server(server_name="0.0.0.0")
    for host, status in (("any.example", 200), ("192.0.2.1:7860", 200), ("[", 403)):
        assert httpx.get(server.url + "config", headers={"Host": host}).status_code == status


def test_a_shared_page_is_known_by_its_public_name(make_server, monkeypatch):
    def setup_tunnel(host, port, *_):
        return "https://abc.gradio.live"

    monkeypatch.setattr(networking, "setup_tunnel", setup_tunnel)
    server = make_server(share=True)
    assert server.public_url == "https://abc.gradio.live"
    for host, status in (("abc.gradio.live", 200), ("localhost", 200), ("other.gradio.live", 403)):
        assert httpx.get(server.url + "config", headers={"Host": host}).status_code == status


def test_a_page_that_cannot_be_shared_is_served_all_the_same(make_server, monkeypatch, caplog):
    def setup_tunnel(*_):
        raise RuntimeError("Could not get share link from Gradio API Server.")

    monkeypatch.setattr(networking, "setup_tunnel", setup_tunnel)
    server = make_server(share=True)
    assert server.public_url is None and "share link" in caplog.text
    assert httpx.get(server.url + "config").status_code == 200


@pytest.mark.parametrize("path", ["tts", "api", "gradio_api/upload", "gradio_api/queue/join"])
def test_posts_from_other_sites_are_refused(server, path):
    own = server.url.rstrip("/")
    for origin, refused in ((None, False), (own, False), ("https://evil.example", True),
                            ("null", True), ("http://127.0.0.1:1", True), ("http://[", True),
                            ("http://a:b", True)):
        headers = {} if origin is None else {"Origin": origin}
        response = httpx.post(server.url + path, data={"text": ""}, headers=headers)
        assert (response.status_code == 403) == refused


@pytest.mark.parametrize("path", ["", "config", "tts?text=Hello.", "gradio_api/info"])
@pytest.mark.parametrize("origin", ["http://[", "http://a:b", "x", "http://a:99999"])
def test_malformed_origins_are_refused(server, path, origin):
    response = httpx.get(server.url + path, headers={"Origin": origin})
    assert response.status_code == 403


def test_cross_site_fetches_of_speech_are_refused(server):
    cross_site = {"Sec-Fetch-Site": "cross-site"}
    assert httpx.get(server.url + "tts", headers=cross_site).status_code == 403
    assert httpx.get(server.url, headers=cross_site).status_code == 200  # a link to the page


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    "path", ["tts", "gradio_api/queue/join", "gradio_api/run/predict", "gradio_api/cancel",
             "gradio_api/call/voice_clone", "api", "gradio_api/upload"]
)
def test_large_requests_are_refused(server, path, declared):
    num_megabytes = 3 if path in ("api", "gradio_api/upload") else 2
    kind = "multipart/form-data; boundary=x" if num_megabytes == 3 else "application/json"
    if path == "tts":
        kind = "application/x-www-form-urlencoded"
    head = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
    pieces = [head, *[b"0" * (1 << 20)] * num_megabytes]
    body = b"".join(pieces) if declared else iter(pieces)
    response = httpx.post(server.url + path, content=body, headers={"Content-Type": kind},
                          timeout=60)
    assert response.status_code == 413 and "MB" in response.text


def test_a_recording_may_be_as_large_as_the_limit(server):
    limit = server.settings.limits.upload
    for num_bytes, status in ((limit, 200), (limit + 1, 413)):
        response = httpx.post(server.url + "gradio_api/upload",
                              files={"files": ("a.wav", b"0" * num_bytes)}, timeout=60)
        assert response.status_code == status
    form = {"audio": ("a.wav", b"0" * (limit + 1))}
    response = httpx.post(server.url + "api", files=form, data={"gen_text": "Hi."}, timeout=60)
    assert response.status_code == 413


def test_invalid_calls_are_refused_without_a_traceback(server, caplog, capfd):
    bodies = [b"", b"[" * 100_000, b'{"data": [' * 50_000, b"{", b"[]", b"\xff\xfe",
              b'{"data": null}',
              b'{"data": [1], "fn_index": 9999, "session_hash": "x"}',
              b'{"data": [1], "fn_index": "x", "session_hash": "x"}',
              b'{"data": [], "fn_index": 3, "session_hash": "x", "event_id": 3}']
    with httpx.Client(base_url=server.url + "gradio_api/") as client:
        for path, kind, body in product(CALLS, ("application/json", "text/plain", "\xff"), bodies):
            headers = {"Content-Type": kind.encode("latin-1")}
            response = client.post(path, content=body, headers=headers)
            assert response.status_code < 500, (path, kind, body)
    assert all("\n" not in record.getMessage() and not record.exc_info
               for record in caplog.records)
    assert "Traceback" not in capfd.readouterr().err


def test_values_that_no_page_sends_are_errors_without_a_traceback(server, capfd):
    for function, inputs in functions(server):
        for values in ([], ["x"] * 40, [None] * len(inputs), [{"a": []}] * len(inputs)):
            call(server, function, values)
    assert "Traceback" not in capfd.readouterr().err


def test_clients_that_hang_up_leave_no_traceback(server, caplog, capfd):
    form = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ntext=a"
    upload = (b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 90000\r\n\r\n"
              b"--x\r\n"
              b'Content-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + b"a" * 5000)
    kept = set(server.temp_files.folder.rglob("*"))
    requests = [b"POST /tts", form, b"POST /gradio_api/queue/join", form, b"POST /api", upload,
                b"POST /gradio_api/upload", upload, b"GET /", b"\r\n",
                b"GET /gradio_api/heartbeat/x", b"\r\n",
                b"GET /gradio_api/queue/data?session_hash=nobody", b"\r\n"]
    for line, rest in zip(requests[::2], requests[1::2], strict=True):
        address = ("127.0.0.1", server.http.port)
        with socket.create_connection(address) as connection:
            connection.sendall(line + b" HTTP/1.1\r\nHost: localhost\r\n" + rest)
            if line.startswith(b"GET /gradio_api"):
                connection.recv(10)
    assert httpx.get(server.url + "config").status_code == 200
    assert "Traceback" not in capfd.readouterr().err
    assert all("\n" not in record.getMessage() and not record.exc_info
               for record in caplog.records)
    assert set(server.temp_files.folder.rglob("*")) == kept


def test_with_a_key_every_request_needs_it(make_server):
    server = make_server(api_keys=["secret", "other"])
    for path in ("", "config", "gradio_api/info", "tts?text=Hello.", "assets/index.js",
                 "static/wavs/" + "0" * 32 + "/000000.wav", "live/x"):
        response = CLIENT.get(server.url + path)
        assert response.status_code == 401 and "Basic" in response.headers["www-authenticate"]
        assert CLIENT.get(server.url + path, headers=bearer("wrong")).status_code == 401
        assert CLIENT.get(server.url + path, headers=bearer("secret")).status_code != 401
        assert CLIENT.get(server.url + path, auth=("anybody", "other")).status_code != 401
    assert httpx.post(server.url + "gradio_api/upload").status_code == 401


def test_gradio_client_with_a_key(make_server):
    server = make_server(api_keys=["secret"])
    with pytest.raises((ValueError, httpx.HTTPError)):
        Client(server.url, verbose=False)
    client = Client(server.url, verbose=False, headers=bearer("secret"))
    path = client.predict("Hello.", "male", 3, 3, api_name="/voice_creation")
    with open(path, "rb") as file:
        assert file.read(4) == b"RIFF"


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def test_only_this_machines_users_manage_shared_voices():
    assert Settings().is_local and Settings(server_name="localhost").is_local
    for public in ({"server_name": "0.0.0.0"}, {"share": True}, {"root_path": "/tts"},
                   {"server_name": "192.0.2.1"}, {"allowed_hosts": ["tts.example"]}):
        assert not Settings(**public).is_local


def test_on_public_addresses_visitors_have_voices_of_their_own(make_server, tmp_path):
    shared = VoiceStore(tmp_path / "voices")
    shared.save("Shared", VOICE)
    server = make_server(server_name="0.0.0.0", voices=shared.folder)
    one, two = server.voice_store(Visitor("one")), server.voice_store(Visitor("two"))
    one.save("Anna", VOICE)
    assert one.names() == ["Anna", "Shared"] and two.names() == ["Shared"]
    assert one.may_delete("Anna") and not one.may_delete("Shared")
    with pytest.raises(VoiceError, match="shared"):
        one.delete("Shared")
    with pytest.raises(VoiceError, match="no voice"):
        two.delete("Anna")
    with pytest.raises(OutputError, match="already"):
        two.save("shared", VOICE)
    one.delete("Anna")
    assert one.names() == shared.names() == ["Shared"]
    assert one.file("Shared") == shared.file("Shared")


def test_a_visitors_voices_survive_loading_the_page_again(make_server):
    server = make_server(server_name="0.0.0.0")
    server.voice_store(Visitor("session", visitor="cookie")).save("Anna", VOICE)
    assert server.voice_store(Visitor("next", visitor="cookie")).names() == ["Anna"]
    assert server.voice_store(Visitor("session")).names() == []
    assert server.voice_store(Visitor("next", visitor="another")).names() == []


@pytest.mark.parametrize("session", ["../../etc", "", "a/b", "x" * 5000, "\0", "\ud800"])
def test_no_session_names_a_folder(make_server, session):
    server = make_server(server_name="0.0.0.0")
    store = server.voice_store(Visitor(session))
    store.save("Anna", VOICE)
    assert server.temp_files.private in store.file("Anna").parents


def test_keys_have_voices_that_are_kept(make_server, tmp_path):
    folder = tmp_path / "voices"
    VoiceStore(folder).save("Shared", VOICE)
    server = make_server(voices=folder, api_keys=["one", "two"], server_name="0.0.0.0")
    server.voice_store(Visitor("a", api_key_id="1111")).save("Anna", VOICE)
    assert server.voice_store(Visitor("b", api_key_id="1111")).names() == ["Anna", "Shared"]
    assert server.voice_store(Visitor("a", api_key_id="2222")).names() == ["Shared"]
    server.close()
    again = make_server(voices=folder, api_keys=["one", "two"], server_name="0.0.0.0")
    assert again.voice_store(Visitor("c", api_key_id="1111")).names() == ["Anna", "Shared"]


@pytest.mark.parametrize("settings", [{"manage_voices": True, "server_name": "0.0.0.0"}, {}])
def test_who_manages_voices_changes_the_shared_ones(make_server, tmp_path, settings):
    server = make_server(voices=tmp_path / "voices", **settings)
    server.voice_store(Visitor("one")).save("Anna", VOICE)
    assert VoiceStore(tmp_path / "voices").names() == ["Anna"]
    server.voice_store(Visitor("two")).delete("Anna")
    assert VoiceStore(tmp_path / "voices").names() == []


def test_uploads_of_one_address_are_limited(make_server):
    from webui.sessions import Limits

    server = make_server(limits=Limits(visitor_uploads=500_000))
    statuses = []
    for n in range(4):
        files = {"files": (f"{n}.wav", bytes([n]) * 200_000)}
        response = httpx.post(server.url + "gradio_api/upload", files=files)
        statuses.append(response.status_code)
    assert statuses == [200, 200, 429, 429] and int(response.headers["retry-after"]) > 0


def test_example_recording_on_a_full_disk_leaves_no_traceback(server, monkeypatch, capfd):
    def fail(self, mode="r", *_, **__):
        if "x" in mode:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return open(self, mode)

    config = httpx.get(server.url + "config").json()
    [button] = [c["id"] for c in config["components"]
                if c["props"].get("elem_id") == "example_recording"]
    [function] = [f for f in config["dependencies"] if [button, "click"] in f["targets"]]
    inputs = ["en"] * len(function["inputs"])
    assert call(server, function["id"], inputs)["success"]
    with monkeypatch.context() as patch:
        patch.setattr(type(PROMPT), "open", fail)
        call(server, function["id"], inputs)
    assert "Traceback" not in capfd.readouterr().err
    assert not list(server.temp_files.folder.rglob("*.part"))
