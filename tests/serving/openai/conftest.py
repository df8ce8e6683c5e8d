"""Requests of OpenAI's clients to a speech server."""

import contextlib

import httpx
import pytest

from sparktts_ms.serving.settings import Limits
from tests.serving.conftest import running


class Api:
    """A running server, and requests to it. client: of httpx, for the server's addresses."""

    def __init__(self, server, service):
        self.server = server
        self.service = service
        self.client = httpx.Client(base_url=server.http.url, timeout=120)

    @property
    def is_idle(self):
        """Whether nothing is being generated, and no slot is in use."""
        return not (self.server.speech.num_requests or self.service.jobs
                    or self.service.tts.engine.active)

    def speak(self, text="Hello.", **fields):
        return self.client.post("v1/audio/speech", json=speech_body(text, fields))

    def stream(self, text="Hello.", **fields):
        return self.client.stream("POST", "v1/audio/speech", json=speech_body(text, fields))


def speech_body(text, fields):
    return {"model": "tts-1", "input": text, "voice": "alloy", **fields}


def error_of(response, status=400):
    """The error of a response, whose form is checked."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    [(key, error)] = response.json().items()
    assert key == "error" and set(error) == {"message", "type", "param", "code"}
    message = error["message"]
    assert message and message.isprintable() and len(message) < 500
    return error


@pytest.fixture(scope="session")
def api(service, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "voices"
    with running(service, voices=folder, limits=Limits(upload=1 << 20)) as server:
        yield Api(server, service)


@pytest.fixture
def make_api(service):
    """Makes further servers, for one test, with these settings."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: Api(stack.enter_context(running(service, **settings)), service)
