"""A server on a model of random weights: what it generates is noise, everything else is real."""

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
    assert not server.temp_files.folder.exists()


@pytest.fixture
def prompt(tmp_path):
    return shutil.copy(PROMPT, tmp_path / "prompt.wav")
