"""Requests that pages of other sites make."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from sparktts_ms.serving.middleware.origins import OriginCheck, origin_host

METHODS = ["GET", "POST"]


def request(method, path, headers, **options):
    routes = [Route(path, lambda request: PlainTextResponse("here"), methods=METHODS)]
    client = TestClient(OriginCheck(Starlette(routes=routes), costly_paths=["/tts"], **options))
    return client.request(method, path, headers={"Host": "here.example:7860", **headers})


@pytest.mark.parametrize(
    "origin, allowed",
    [(None, True), ("http://here.example:7860", True), ("http://HERE.example:7860", True),
     ("https://evil.example", False), ("null", False), ("http://here.example", False),
     ("file://", False), ("http://here.example:7860.evil.example", False)],
)
def test_posts_come_from_our_own_pages(origin, allowed):
    headers = {} if origin is None else {"Origin": origin}
    assert (request("POST", "/page", headers).status_code == 200) == allowed


def test_cross_site_reads_are_free_but_for_costly_paths():
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert request("GET", "/page", headers).status_code == 200
        assert request("GET", "/tts", headers).status_code == 403


def test_configured_origins_are_allowed():
    headers = {"Origin": "https://friend.example"}
    allowed = ["https://friend.example:443"]                # the scheme's own port
    assert request("POST", "/tts", headers, origins=allowed).status_code == 200
    assert request("POST", "/tts", headers, origins=["*"]).status_code == 200
    assert request("POST", "/tts", headers, origins=["http://other.example"]).status_code == 403


def test_a_proxy_may_give_the_host():
    headers = {"Origin": "https://tts.example", "X-Forwarded-Host": "tts.example"}
    assert request("POST", "/tts", headers).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://[", "http://[::1", "http://a:b", "http://a:99999", "http://a:-1", "", " ",
               "a b", "http://a/", "http://a/path", "http://a@b", "http://é", "//a", "http:a",
               "http://a, http://b", "x" * 10_000]
)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("origins", [[], ["*"]])
def test_malformed_origins_are_refused(method, origin, origins):
    response = request(method, "/page", {"Origin": origin.encode()}, origins=origins)
    assert response.status_code == 403


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255)))
def test_any_origin_is_a_host_or_malformed(origin):
    host = origin_host(origin)
    assert host is None or host == "" or origin.lower().strip().partition("://")[2].startswith(host)


def test_origin_without_host_is_refused():
    routes = [Route("/", lambda request: PlainTextResponse("here"))]
    client = TestClient(OriginCheck(Starlette(routes=routes)))
    assert client.get("/", headers={"Origin": "http://a", "Host": ""}).status_code == 403
