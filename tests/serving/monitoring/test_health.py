"""Health checks and metrics, over HTTP."""

import threading

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sparktts_ms.serving.app import create_app
from sparktts_ms.serving.http_server import HttpServer
from sparktts_ms.serving.server import SpeechServer
from sparktts_ms.serving.settings import Settings
from tests.helpers import wait_until


@pytest.fixture
def loading():
    """The address of a server whose model is not there yet, and the server."""
    server = SpeechServer(Settings())
    http = HttpServer(create_app(server), "127.0.0.1", 0).start()
    yield server, http.url
    http.close()


def test_a_server_lives_before_it_is_ready_and_while_it_drains(loading, service):
    server, url = loading
    assert httpx.get(url + "health").text == "OK"
    assert httpx.get(url + "health/ready").status_code == 503
    assert httpx.get(url + "health/ready").text == "loading"
    server.start(service)
    assert httpx.get(url + "health/ready").status_code == 200
    server.speech.refuse_requests()
    assert httpx.get(url + "health").text == "OK"
    assert httpx.get(url + "health/ready").text == "draining"
    server.start(service)                       # too late
    assert httpx.get(url + "health/ready").status_code == 503


def test_a_device_that_does_not_answer_is_not_alive(make_server, service):
    server = make_server(stuck_seconds=0.2)
    url = server.http.url
    answer = threading.Event()
    waiting = threading.Thread(target=service._call, args=(answer.wait,))
    waiting.start()
    try:
        assert wait_until(lambda: httpx.get(url + "health/live").status_code == 503)
        assert httpx.get(url + "health/ready").text == "stuck"
        assert httpx.get(url + "v2/health/live").json() == {"live": False}
        assert httpx.get(url + "v2/health/ready").status_code == 503
    finally:
        answer.set()
        waiting.join()
    assert httpx.get(url + "health/live").text == "OK"
    assert httpx.get(url + "health/ready").text == "OK"


def test_metrics_are_readable_by_prometheus(server):
    response = httpx.get(server.http.url + "metrics")
    names = {family.name for family in text_string_to_metric_families(response.text)}
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert {"spark_tts:num_requests_running", "spark_tts:num_requests_waiting",
            "spark_tts:time_to_first_audio_seconds", "spark_tts:e2e_request_latency_seconds",
            "spark_tts:request_queue_time_seconds", "spark_tts:real_time_factor",
            "spark_tts:audio_seconds", "spark_tts:prompt_tokens", "spark_tts:generation_tokens",
            "spark_tts:request_failure"} <= names
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    response = httpx.get(server.http.url + "metrics", headers=accept)
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


def test_health_needs_no_key(make_server):
    server = make_server(api_keys=["secret"])
    for path in ("health", "health/live", "health/ready", "metrics"):
        assert httpx.get(server.http.url + path).status_code == 200
    assert httpx.get(server.http.url + "other").status_code == 401
