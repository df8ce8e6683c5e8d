"""The cookie that tells visitors apart."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from sparktts_ms.serving.middleware.visitors import COOKIE, VISITOR, VisitorCookie


def client():
    async def visitor(request):
        return PlainTextResponse(request.scope["state"][VISITOR])

    routes = [Route(path, visitor) for path in ("/", "/other")]
    return TestClient(VisitorCookie(Starlette(routes=routes)))


def test_a_visitor_keeps_the_value_of_the_first_page():
    browser = client()
    assert browser.get("/other").headers.get("set-cookie") is None
    first = browser.get("/")
    assert "HttpOnly" in first.headers["set-cookie"] and first.text == ""
    value = browser.cookies[COOKIE]
    assert browser.get("/").headers.get("set-cookie") is None
    assert browser.get("/other").text == value
    other = client()
    other.get("/")
    assert other.cookies[COOKIE] != value


@pytest.mark.parametrize(
    "cookie", ["x", f"{COOKIE}=", f"{COOKIE}=../../etc", f"{COOKIE}={'g' * 32}",
               f"{COOKIE}={'a' * 33}", "\xff=\xff", ";;;", f"a=b; {COOKIE}"]
)
def test_values_that_are_not_ours_count_as_none(cookie):
    response = client().get("/", headers={"Cookie": cookie.encode("latin-1")})
    assert response.text == "" and COOKIE in response.headers["set-cookie"]
