"""A page that runs, on a model of random weights: what it says is noise, and all else is as in earnest."""

import shutil
import socket
import time

import pytest

pytest.importorskip("gradio", reason="the page needs requirements-web.txt")

from sparktts_ms import Service, SparkTTS
from sparktts_ms.web.app import Settings, Site
from sparktts_ms.web.sessions import Limits
from tests.helpers import ROOT

PROMPT = ROOT / "examples" / "sparktts" / "prompt.wav"
LONG = "This text goes on and on, sentence after sentence. " * 150


@pytest.fixture(scope="session")
def service(tiny_model):
    with Service(SparkTTS.from_pretrained(tiny_model, device_target="CPU")) as service:
        yield service


@pytest.fixture(scope="session")
def site(service, tmp_path_factory):
    site = Site(service, Settings(server_port=free_port(), voices=tmp_path_factory.mktemp("shelf") / "voices", example=PROMPT,
                                  transcript="Hello.", limits=Limits(upload=2 << 20))).start()
    yield site
    site.close()
    assert not site.workspace.folder.exists()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def prompt(tmp_path):
    return shutil.copy(PROMPT, tmp_path / "prompt.wav")


def until(holds, seconds=30.0):
    """Wait until `holds()`."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()
