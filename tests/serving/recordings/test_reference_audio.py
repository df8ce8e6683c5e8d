"""Recordings in requests: what is decoded, what is fetched, and from where nothing is."""

import asyncio
import base64
import ipaddress
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("anyio", reason="the server needs requirements-serve.txt")

from sparktts_ms.errors import AudioError
from sparktts_ms.serving.recordings import remote_audio
from sparktts_ms.serving.recordings.reference_audio import read_reference_audio

LIMIT = 1000
CONTENT = bytes(range(256)) * 3


def read(value, hosts=(), limit=LIMIT):
    return asyncio.run(read_reference_audio(value, limit, hosts))


def refused(value, hosts=(), limit=LIMIT):
    """The error's code; its message is one line."""
    with pytest.raises(AudioError) as caught:
        read(value, hosts, limit)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 400
    return caught.value.code


@pytest.mark.parametrize("encoded", [
    base64.b64encode(CONTENT).decode(),
    base64.b64encode(CONTENT[:-1]).decode().rstrip("="),
    base64.urlsafe_b64encode(CONTENT).decode(),
    base64.encodebytes(CONTENT).decode(),
])
def test_base64_is_decoded(encoded):
    content = read(encoded)
    assert content in (CONTENT, CONTENT[:-1])
    assert read(f"data:audio/wav;base64,{encoded}") == content
    assert read(f"DATA:application/octet-stream;codecs=1;BASE64,{encoded}") == content


def test_a_percent_encoded_data_url_is_decoded():
    assert read("data:audio/wav;base64,%2B%2F%2B%2F") == base64.b64decode("+/+/")


@pytest.mark.parametrize("value", [
    "", " ", "!", "abc*", "a", "żółw", "\ud800", "data:", "data:,", "data:audio/wav,AAAA",
    "data:audio/wav;base64,", "data:audio/wav;base64,*", "data:" + "x" * 10_000 + ";base64,AAAA",
    "/etc/passwd\0"])
def test_bad_base64_is_refused(value):
    assert refused(value) == "bad_base64"


def test_the_limit_holds_after_decoding():
    exactly = base64.b64encode(bytes(LIMIT)).decode()
    assert len(read(exactly)) == LIMIT
    assert refused(base64.b64encode(bytes(LIMIT + 1)).decode()) == "too_large"
    assert refused("A" * 10_000_000) == "too_large"


@pytest.mark.parametrize("url", [
    "http://example.org/a.wav",
    "HTTPS://EXAMPLE.ORG/a.wav",
    "file:///etc/passwd",
    "ftp://allowed.example/a.wav",
    "gopher://allowed.example/",
    "javascript:alert(1)",
    "C:\\windows\\a.wav",
    "http://",
    "http:///a.wav",
    "http://allowed.example.org/a.wav",
    "http://sub.allowed.example/a.wav",
    "http://allowed.example@evil.example/a.wav",
    "http://user:password@allowed.example/a.wav",
    "http://allowed.example:22/a.wav",
    "http://allowed.example:99999/a.wav",
    "http://allowed.example\\@evil.example/a.wav",
    "http://allowed.example/a.wav\r\nX-Injected: 1",
    "http://allowed.example/ä.wav",
    "http://[::1/a.wav",
    "http://2130706433/a.wav",
    "http://0x7f.1/a.wav",
])
def test_nothing_is_fetched_from_elsewhere(url, monkeypatch):
    def connect(*_):
        raise AssertionError("a connection")

    monkeypatch.setattr(remote_audio, "_connect", connect)
    assert refused(url, ["allowed.example"]) == "remote_audio"


@pytest.mark.parametrize(("address", "public"), [
    ("93.184.216.34", True),
    ("2606:2800:220:1:248:1893:25c8:1946", True),
    ("127.0.0.1", False),
    ("0.0.0.0", False),
    ("10.1.2.3", False),
    ("172.16.0.1", False),
    ("192.168.1.1", False),
    ("169.254.169.254", False),
    ("100.64.0.1", False),
    ("224.0.0.1", False),
    ("255.255.255.255", False),
    ("::1", False),
    ("::", False),
    ("fe80::1", False),
    ("fd00::1", False),
    ("::ffff:127.0.0.1", False),
    ("::ffff:10.0.0.1", False),
    ("2002:7f00:1::", False),           # 6to4 of 127.0.0.1
    ("64:ff9b::a00:1", False),          # NAT64 of 10.0.0.1
    ("2001:0:1::1", False),             # Teredo
    ("ff02::1", False),
])
def test_private_addresses_are_known(address, public):
    assert remote_audio.is_public(ipaddress.ip_address(address)) == public


@contextmanager
def web_server(handle):
    """A server at 127.0.0.1 that answers GET by `handle(handler)`; yields "127.0.0.1:PORT"."""
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            handle(self)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def answer(status=200, content=CONTENT, **headers):
    def handle(handler):
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return handle


def test_an_allowed_host_is_fetched_from():
    requests = []

    def handle(handler):
        requests.append((handler.path, handler.headers["Host"], handler.headers["Authorization"]))
        answer()(handler)

    with web_server(handle) as host:
        assert read(f"http://{host}/a.wav?x=1#part", [host]) == CONTENT
    assert requests == [("/a.wav?x=1", host, None)]


def test_the_checked_address_is_the_one_connected_to(monkeypatch):
    """Another resolution, of a name server that answers twice, would lead elsewhere."""
    with web_server(answer()) as host:
        port = int(host.split(":")[1])
        answers = [[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers.pop())
        monkeypatch.setattr(remote_audio, "is_public", lambda address: True)
        assert read(f"http://name.example:{port}/", [f"name.example:{port}"]) == CONTENT
    assert not answers


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::1"]])
def test_a_name_of_a_private_address_is_refused(monkeypatch, addresses):
    found = [(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "",
              (address, 80)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(AudioError, match="private network"):
        read("http://name.example/a.wav", ["name.example"])


@pytest.mark.parametrize("allowed", ["*", "*.0.0.1", "*.1"])
def test_a_private_address_is_allowed_by_its_whole_number_only(allowed):
    for url in ("http://127.0.0.1/a.wav", "http://127.0.0.1:443/a.wav", "http://[::1]/a.wav"):
        assert refused(url, [allowed]) == "remote_audio"


def test_names_below_an_allowed_one_are_allowed():
    target = remote_audio.parse("http://cdn.example.org/a.wav", ["*.example.org"])
    assert (target.host, target.may_be_private) == ("cdn.example.org", False)
    for url in ("http://example.org/", "http://badexample.org/", "http://cdn.example.org:81/"):
        assert refused(url, ["*.example.org"]) == "remote_audio"


def test_a_redirection_is_followed_to_allowed_hosts_only():
    with web_server(answer()) as other, web_server(lambda handler: answer(
            302, b"", Location=f"http://{other}/b.wav")(handler)) as host:
        assert read(f"http://{host}/a.wav", [host, other]) == CONTENT
        assert refused(f"http://{host}/a.wav", [host]) == "remote_audio"
    with web_server(answer(302, b"", Location="/again")) as host:
        assert refused(f"http://{host}/a.wav", [host]) == "remote_audio"
    with web_server(answer(302, b"", Location="file:///etc/passwd")) as host:
        assert refused(f"http://{host}/a.wav", [host]) == "remote_audio"


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "10000000"}])
def test_a_large_answer_is_not_read_to_its_end(headers):
    def handle(handler):
        handler.send_response(200)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        try:
            for _ in range(100_000):
                handler.wfile.write(bytes(10_000))
        except OSError:
            broken_off.set()

    broken_off = threading.Event()
    with web_server(handle) as host:
        assert refused(f"http://{host}/a.wav", [host]) == "too_large"
        assert broken_off.wait(30)


def slow_body(handler):
    handler.send_response(200)
    handler.end_headers()
    write_slowly(handler, b"x")


def slow_headers(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Header: ")
    write_slowly(handler, b"x")


def write_slowly(handler, data):
    try:
        while True:
            handler.wfile.write(data)
            handler.wfile.flush()
            threading.Event().wait(0.05)
    except OSError:
        pass


@pytest.mark.parametrize("handle", [slow_body, slow_headers])
def test_a_slow_answer_is_broken_off(handle):
    with web_server(handle) as host, pytest.raises(AudioError, match="did not arrive"):
        remote_audio.fetch(f"http://{host}/a.wav", [host], 1 << 20, seconds=0.5)


@pytest.mark.parametrize("handle", [
    answer(404),
    answer(500),
    answer(302, b""),
    answer(**{"Content-Length": "2000"}),
    lambda handler: handler.wfile.write(b"no HTTP at all"),
    lambda handler: None,
])
def test_what_fails_is_one_error(handle):
    with web_server(handle) as host:
        assert refused(f"http://{host}/a.wav", [host], 5000) == "remote_audio"


def test_a_host_that_refuses_or_does_not_exist_is_one_error():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        host = f"127.0.0.1:{closed.getsockname()[1]}"
    assert refused(f"http://{host}/a.wav", [host]) == "remote_audio"
    assert refused("http://name.invalid/a.wav", ["name.invalid"]) == "remote_audio"


def test_a_host_without_a_valid_certificate_is_refused():
    with web_server(answer()) as host:      # speaks no TLS at all
        assert refused(f"https://{host}/a.wav", [host]) == "remote_audio"
