"""Connections: what they may do before they are requests."""

import asyncio
import socket

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from sparktts_ms.errors import InputError
from sparktts_ms.serving import http_server
from sparktts_ms.serving.http_server import HttpServer, LimitedProtocol, listen
from tests.helpers import free_port, wait_until


async def hello(request):
    return PlainTextResponse("hello")


async def stream(request):
    async def events():
        for _ in range(10):
            yield "event\n"
            await asyncio.sleep(0.2)

    return StreamingResponse(events())


async def slow(request):
    await asyncio.sleep(1.5)
    return PlainTextResponse("slow")


ended = []


async def endless(request):
    async def blocks():
        try:
            while True:
                yield bytes(1 << 20)
                await asyncio.sleep(0)
        finally:
            ended.append(True)

    return StreamingResponse(blocks())


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(LimitedProtocol, "header_seconds", 0.5)
    routes = [Route("/" + function.__name__, function, methods=["GET", "POST"])
              for function in (hello, stream, slow, endless)]
    server = HttpServer(Starlette(routes=routes), "127.0.0.1", 0).start()
    yield server
    server.close()


def received_until_closed(server, data):
    """What the server sends until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(data)
        received = b""
        while block := connection.recv(1 << 16):
            received += block
        return received


REQUEST = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize("data", [b"", b"GET", REQUEST, REQUEST + b"X: y\r\n"])
def test_unfinished_headers_are_not_awaited_for_ever(server, data):
    assert received_until_closed(server, data) == b""


def test_the_next_headers_and_the_rest_of_a_body_are_not_awaited_either(server):
    post = b"POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    for data in (REQUEST + b"\r\n", REQUEST + b"\r\nGET /he", post + b"part"):
        received = received_until_closed(server, data)
        assert received.startswith(b"HTTP/1.1 200") and received.endswith(b"hello")


def test_trickling_headers_do_not_extend_the_time(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(REQUEST)

        def is_closed():
            try:
                connection.sendall(b"X: y\r\n")
            except OSError:
                return True
            return False

        assert wait_until(is_closed, 10)


def test_responses_may_take_longer(server):
    assert httpx.get(server.url + "slow").text == "slow"
    assert httpx.get(server.url + "stream").text == "event\n" * 10


def test_large_headers_are_refused(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(REQUEST + b"X: " + b"y" * (100 << 10))
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_connections_beyond_the_limit_are_refused_and_room_is_given_back(monkeypatch):
    monkeypatch.setattr(http_server, "_max_connections", lambda: 3)
    server = HttpServer(Starlette(routes=[Route("/hello", hello)]), "127.0.0.1", 0).start()
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]

    def status():
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            return connection.recv(100)

    assert wait_until(lambda: status().startswith(b"HTTP/1.1 503"), 10)
    for connection in idle:
        connection.close()
    assert wait_until(lambda: httpx.get(server.url + "hello").status_code == 200, 10)
    server.close()


def test_close_ends_streams_in_progress(server):
    with httpx.stream("GET", server.url + "stream") as response:
        next(response.iter_raw())
        server.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)


@pytest.mark.parametrize(
    "host, url", [("127.0.0.1", "http://127.0.0.1:{}/"), ("0.0.0.0", "http://localhost:{}/"),
                  ("localhost", "http://localhost:{}/"), ("::1", "http://[::1]:{}/"),
                  ("[::1]", "http://[::1]:{}/"), ("::", "http://localhost:{}/")]
)
def test_addresses(host, url):
    try:
        server = HttpServer(Starlette(routes=[Route("/hello", hello)]), host, 0)
    except InputError:
        assert ":" in host
        pytest.skip("no IPv6 here")
    server.start()
    assert server.url == url.format(server.port)
    assert httpx.get(server.url + "hello").text == "hello"
    server.close()


def test_addresses_that_cannot_be_listened_on_are_one_error():
    port = free_port()
    with listen("127.0.0.1", port), pytest.raises(InputError, match="in use") as caught:
        listen("127.0.0.1", port)
    assert caught.value.code == "port_unavailable"
    for host in ("192.0.2.1", "nowhere.invalid", "x" * 300):
        with pytest.raises(InputError, match="cannot listen") as caught:
            listen(host, port)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_a_closed_port_can_be_used_again_at_once():
    first = HttpServer(Starlette(routes=[Route("/hello", hello)]), "127.0.0.1", 0).start()
    httpx.get(first.url + "hello")
    first.close()
    second = HttpServer(Starlette(routes=[Route("/hello", hello)]), "127.0.0.1", first.port)
    assert second.start().port == first.port
    second.close()


@pytest.mark.parametrize("seconds, stays", [(0.5, False), (300, True)])
def test_who_does_not_read_is_not_awaited_for_ever(server, monkeypatch, seconds, stays):
    monkeypatch.setattr(LimitedProtocol, "write_seconds", seconds)
    ended.clear()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert wait_until(lambda: bool(ended), 2 if stays else 30) is not stays
    assert wait_until(lambda: bool(ended))
