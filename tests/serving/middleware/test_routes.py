"""The routes that are offered."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from sparktts_ms.serving.middleware.routes import AllowedRoutes, route_path

ROUTES = [("GET HEAD", r"/|/file=.+"), ("POST", r"/call/\w+")]


@pytest.mark.parametrize(
    "method, path, status",
    [("GET", "/", 200), ("HEAD", "/", 200), ("POST", "/", 404), ("GET", "/file=a", 200),
     ("GET", "/file=secret", 404), ("GET", "/other", 404), ("POST", "/call/x", 200),
     ("POST", "/call/x/", 200), ("POST", "/call/x/y", 404), ("GET", "/call/x", 404),
     ("DELETE", "/", 404), ("GET", "/file=a%0Ab", 404)],
)
def test_only_these_methods_and_paths_are_found(method, path, status):
    route = Route("/{path:path}", lambda request: PlainTextResponse("x"),
                  methods=["GET", "POST", "DELETE"])
    app = AllowedRoutes(Starlette(routes=[route]), ROUTES, lambda path: path != "/file=secret")
    assert TestClient(app).request(method, path).status_code == status


@pytest.mark.parametrize(
    "root, path, expected",
    [("", "/tts", "/tts"), ("", "/", ""), ("", "/tts/", "/tts"), ("/a", "/a/tts", "/tts"),
     ("/a/", "/a/tts", "/tts"), ("/a", "/tts", "/tts"), ("/a", "/ab/tts", "/ab/tts"),
     ("/a", "/a", "")],
)
def test_paths_below_the_root_path(root, path, expected):
    assert route_path({"path": path, "root_path": root}) == expected
