"""Request ids, the log, and spans."""

import asyncio
import logging

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient

from sparktts_ms.serving.monitoring import tracing
from sparktts_ms.serving.monitoring.tracing import RequestLog, current_request_id


async def endpoint(request):
    await asyncio.sleep(0)
    return PlainTextResponse(current_request_id())


async def socket(websocket):
    await websocket.accept()
    await websocket.send_text(current_request_id())
    await websocket.close()


async def broken(request):
    raise ValueError("broken")


@pytest.fixture
def client():
    app = Starlette(routes=[Route("/speech", endpoint), Route("/health", endpoint),
                            Route("/broken", broken), WebSocketRoute("/socket", socket)])
    return TestClient(RequestLog(app, quiet="/health|/metrics"), raise_server_exceptions=False)


def test_an_id_of_the_client_comes_back(client):
    response = client.get("/speech", headers={"X-Request-Id": "abc-1"})
    assert response.headers["x-request-id"] == response.text == "abc-1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\tb", "<script>"])
def test_others_get_a_new_one(client, given):
    first = client.get("/speech", headers={"X-Request-Id": given})
    second = client.get("/speech", headers={"X-Request-Id": given})
    assert first.headers["x-request-id"] == first.text
    assert len({first.text, second.text, given}) == 3


def test_websockets_have_an_id_too(client):
    with client.websocket_connect("/socket", headers={"X-Request-Id": "abc-2"}) as websocket:
        assert websocket.receive_text() == "abc-2"


def test_the_log_has_one_line_for_a_request(client, caplog):
    caplog.set_level(logging.INFO, "sparktts_ms")
    client.get("/speech", headers={"X-Request-Id": "abc-3"})
    client.get("/health")
    client.get("/broken", headers={"X-Request-Id": "abc-4"})
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith("GET /speech 200, ") and lines[0].endswith("abc-3")
    assert lines[1].startswith("GET /broken ") and lines[1].endswith("abc-4")


def test_a_path_cannot_forge_lines_of_the_log(client, caplog):
    caplog.set_level(logging.INFO, "sparktts_ms")
    client.get("/a%0aGET%20/b%20200")
    assert "\n" not in caplog.records[-1].getMessage()


def test_a_span_continues_the_trace_of_the_caller(client):
    trace = pytest.importorskip("opentelemetry.sdk.trace", reason="needs opentelemetry-sdk")
    from opentelemetry import trace as api
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = trace.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    api.set_tracer_provider(provider)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    client.get("/speech", headers={"traceparent": parent, "X-Request-Id": "abc-5"})
    client.get("/health", headers={"traceparent": parent})
    span, = exporter.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert span.attributes["request.id"] == "abc-5"
    assert span.attributes["http.response.status_code"] == 200


def test_works_without_opentelemetry(client, monkeypatch):
    monkeypatch.setattr(tracing, "trace", None)
    assert client.get("/speech").status_code == 200
