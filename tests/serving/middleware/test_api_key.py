"""Keys, as programs and browsers send them."""

import base64

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from sparktts_ms.serving.middleware.api_key import KEY_ID, ApiKeys


async def key_id(request):
    return PlainTextResponse(str(request.scope["state"].get(KEY_ID)))


async def socket(websocket):
    await websocket.accept()
    await websocket.close()


def client(keys=("first", "s:cond"), **options):
    routes = [Route(path, key_id) for path in ("/", "/open")] + [WebSocketRoute("/ws", socket)]
    return TestClient(ApiKeys(Starlette(routes=routes), keys, **options))


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "value", ["Bearer first", "bearer first", "Bearer  s:cond", basic("me:first"),
              basic(":first"), basic("me:s:cond")]
)
def test_valid_keys(value):
    assert client().get("/", headers={"Authorization": value}).status_code == 200


@pytest.mark.parametrize(
    "value", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Bearer firs", "Bearer first2",
              "first", "Basic first", basic("first"), basic("first:"), basic("first:me"),
              "Basic %%%", "Digest first", "Bearer \xff", "Bearer " + "x" * 10_000]
)
def test_invalid_keys(value):
    headers = {} if value is None else {"Authorization": value.encode("latin-1")}
    response = client().get("/", headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Basic ")    # browsers ask for it
    assert "first" not in response.text


def test_other_headers_and_open_paths():
    keys = client(headers=["xi-api-key"], open_paths=["/open"])
    assert keys.get("/", headers={"xi-api-key": "first"}).status_code == 200
    assert keys.get("/", headers={"xi-api-key": "wrong"}).status_code == 401
    assert keys.get("/open").status_code == 200
    assert client().get("/", headers={"xi-api-key": "first"}).status_code == 401


def test_keys_are_told_apart_without_telling_them():
    ids = {client().get("/", headers={"Authorization": f"Bearer {key}"}).text
           for key in ("first", "s:cond", "first")}
    assert len(ids) == 2 and not any("first" in name or "cond" in name for name in ids)


def test_without_keys_everybody_is_let_through():
    assert client(keys=()).get("/").status_code == 200


def test_preflights_carry_no_key():
    assert client().options("/").status_code == 405         # let through; there is no such method


def test_websockets_need_a_key():
    with pytest.raises(WebSocketDisconnect), client().websocket_connect("/ws"):
        pass
    with client().websocket_connect("/ws", headers={"Authorization": "Bearer first"}):
        pass


def test_sockets_that_check_keys_themselves():
    options = {"open_sockets": "/w."}
    with client(**options).websocket_connect("/ws") as opened:
        assert opened.receive()["type"] == "websocket.close"        # by the application
    assert client(**options).get("/").status_code == 401
    with pytest.raises(WebSocketDisconnect), client(open_sockets="/w").websocket_connect("/ws"):
        pass
