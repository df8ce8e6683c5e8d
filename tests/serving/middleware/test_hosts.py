"""Which Host headers are answered."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from sparktts_ms.serving.middleware.hosts import LOOPBACK_HOSTS, HostCheck, host_name, is_loopback


def status(host, allowed):
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))])
    client = TestClient(HostCheck(app, allowed))
    return client.get("/", headers={"host": host}).status_code


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:7860", "LOCALHOST", "127.0.0.1:80", "[::1]", "[::1]:7860",
             "localhost.", "localhost.:7860"]
)
def test_names_of_this_machine_are_answered(host):
    assert status(host, LOOPBACK_HOSTS) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.2", "127.0.0.1.evil.example",
             "localhost.evil.example", "127.0.0.1@evil.example", "evil.example#localhost",
             "localhost, evil.example", "", "[", "[::1", "::1", "localhost:", "localhost:x",
             "localhost:123456", "a b", "é"]
)
def test_other_and_malformed_names_are_refused(host):
    assert status(host.encode(), LOOPBACK_HOSTS) == 403


@pytest.mark.parametrize(
    "host, expected",
    [("tts.example.org", 200), ("TTS.example.org:443", 200), ("a.b.example.net", 200),
     ("example.net", 403), ("evilexample.net", 403), ("example.org", 403)],
)
def test_configured_names_and_wildcards(host, expected):
    assert status(host, ["tts.example.org", "*.example.net"]) == expected


def test_a_star_allows_every_well_formed_name():
    assert status("anything.example", ["*"]) == 200
    assert status("a/b", ["*"]) == 403


def test_requests_without_or_with_two_hosts_are_refused():
    check = HostCheck(None, LOOPBACK_HOSTS)
    assert not check._is_allowed([]) and not check._is_allowed(["localhost", "localhost"])


def test_names_and_loopback_addresses():
    assert host_name("Example.ORG.:80") == "example.org" and host_name("a/b") == ""
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "", "10.0.0.1", "localhost.example"]))
