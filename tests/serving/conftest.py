"""Speech servers on a model of random weights: what it generates is noise, the rest is real."""

import contextlib

import pytest

pytest.importorskip("prometheus_client", reason="the server needs requirements-serve.txt")

from sparktts_ms import Service, SparkTTS
from sparktts_ms.serving.app import create_app
from sparktts_ms.serving.http_server import HttpServer
from sparktts_ms.serving.server import SpeechServer
from sparktts_ms.serving.settings import Settings


@pytest.fixture(scope="session")
def service(tiny_model):
    with Service(SparkTTS.from_pretrained(tiny_model, device_target="CPU")) as service:
        yield service


@contextlib.contextmanager
def running(service, **settings):
    """A server that listens on a free port: its `http` has the address."""
    server = SpeechServer(Settings(**settings))
    server.http = HttpServer(create_app(server), "127.0.0.1", 0).start()
    try:
        server.start(service)
        yield server
    finally:
        server.speech.drain(0)
        server.http.close()


@pytest.fixture(scope="session")
def server(service, tmp_path_factory):
    with running(service, voices=tmp_path_factory.mktemp("store") / "voices") as server:
        yield server


@pytest.fixture
def make_server(service):
    """Makes further servers, for one test, with these settings."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running(service, **settings))
