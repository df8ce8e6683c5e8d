"""A server whose speech can be read (see fakes.py)."""

import contextlib

import numpy as np
import pytest

from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.serving.app import create_app
from sparktts_ms.serving.elevenlabs import options
from sparktts_ms.serving.http_server import HttpServer
from sparktts_ms.serving.server import SpeechServer
from sparktts_ms.serving.settings import Settings
from sparktts_ms.voice import Voice
from tests.serving.elevenlabs.fakes import Client, FakeSpeech, FakeVoices


@pytest.fixture
def make_fake_server():
    """make_fake_server(seconds_each=0.0, **settings): its `speech` is a FakeSpeech."""
    with contextlib.ExitStack() as stack:
        def make(seconds_each=0.0, **settings):
            server = SpeechServer(Settings(**settings))
            stack.callback(server.close)
            server.speech = FakeSpeech(seconds_each)
            server.voices = FakeVoices(Voice(np.zeros(32, np.int32)))
            server.http = HttpServer(create_app(server), "127.0.0.1", 0).start()
            stack.callback(server.http.close)
            return server

        yield make


@pytest.fixture
def short_speech(monkeypatch):
    """A model of random weights ends at once or never."""
    monkeypatch.setattr(options, "Sampling", lambda seed: Sampling(
        seed=seed, min_new_tokens=60, max_new_tokens=60))


@pytest.fixture
def fake_server(make_fake_server):
    return make_fake_server()


@pytest.fixture
def client(fake_server):
    with Client(fake_server.http.url) as client:
        yield client
