"""The request guard: requests of other sites' pages, request sizes, and a full disk."""

import errno
import os

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.testclient import TestClient

from webui.middleware import RequestGuard


@pytest.mark.parametrize(
    "headers, status",
    [
        ({}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["tts", "api", "gradio_api/upload"])
def test_posts_from_other_sites_are_refused(server, path, headers, status):
    response = httpx.post(server.url + path, data={"text": ""}, headers=headers)
    assert (response.status_code == 403) == (status == 403)


def test_cross_site_fetches_of_speech_are_refused(server):
    cross_site = {"Sec-Fetch-Site": "cross-site"}
    assert httpx.get(server.url + "tts", headers=cross_site).status_code == 403
    assert httpx.get(server.url, headers=cross_site).status_code == 200  # a link to the page
    own = {"Origin": server.url.rstrip("/")}
    assert httpx.post(server.url + "tts", data={"text": ""}, headers=own).json()["code"] == 1


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("path", ["api", "tts", "gradio_api/upload"])
def test_large_requests_are_refused(server, path, declared):
    head = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
    pieces = [head, *[b"\0" * (1 << 20)] * 5, b"\r\n--x--\r\n"]
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    body = b"".join(pieces) if declared else iter(pieces)
    try:
        response = httpx.post(server.url + path, content=body, headers=headers, timeout=60)
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        return  # disconnected before everything was sent
    assert response.status_code == 413


@pytest.mark.parametrize(
    "number, status", [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EACCES, None)]
)
def test_full_disk_gives_status_507(number, status):
    def store(request):
        raise OSError(number, os.strerror(number))

    route = Route("/upload", store, methods=["POST"])
    client = TestClient(Starlette(routes=[route], middleware=[Middleware(RequestGuard)]))
    if status is None:
        with pytest.raises(OSError):
            client.post("/upload")
    else:
        response = client.post("/upload")
        assert response.status_code == status and "disk is full" in response.text
