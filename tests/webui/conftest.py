"""A server on a model of random weights: what it generates is noise, everything else is real."""

import os
import shutil

import pytest

pytest.importorskip("gradio", reason="the page needs requirements-web.txt")

from sparktts_ms import Service, SparkTTS
from tests.helpers import PROMPT, free_port
from webui.app import Server, Settings
from webui.sessions import Limits


@pytest.fixture(scope="session")
def service(tiny_model):
    with Service(SparkTTS.from_pretrained(tiny_model, device_target="CPU")) as service:
        yield service


@pytest.fixture(scope="session")
def server(service, tmp_path_factory):
    settings = Settings(
        server_port=free_port(),
        voices=tmp_path_factory.mktemp("store") / "voices",
        example=PROMPT,
        limits=Limits(upload=2 << 20),
    )
    server = Server(service, settings).start()
    yield server
    server.close()
    assert not server.temp_files.workspace.exists()


@pytest.fixture
def make_server(service, monkeypatch):
    """Makes further servers, for one test, with these settings."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", os.environ.get("GRADIO_TEMP_DIR", ""))    # of `server`
    servers = []

    def make(**settings):
        server = Server(service, Settings(**{"server_port": 0, "voices": None, **settings}))
        servers.append(server)
        return server.start()

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def prompt(tmp_path):
    return shutil.copy(PROMPT, tmp_path / "prompt.wav")
