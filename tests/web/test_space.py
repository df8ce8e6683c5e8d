"""The space as a hub runs it: its folder laid out as its README says, the hub of the weights within reach or not."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import create_autospec

import httpx
import pytest

from sparktts_ms.weights import hub
from tests.helpers import ROOT
from tests.web.conftest import free_port, until

SPACE = ROOT / "examples" / "sparktts"


class Empty(BaseHTTPRequestHandler):
    """A hub that has nothing."""

    def do_GET(self):
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


@pytest.fixture
def empty_hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def space(tmp_path, tiny_model):
    """This repository's files as they lie in a space's."""
    for part in (*SPACE.iterdir(), ROOT / "sparktts_ms", ROOT / "cli"):
        (tmp_path / part.name).symlink_to(part, part.is_dir())
    (tmp_path / "app.py").unlink()
    (tmp_path / "app.py").write_bytes((SPACE / "app.py").read_bytes())      # it finds its neighbours by where it lies
    (tmp_path / "pretrained_models").mkdir()
    (tmp_path / "pretrained_models" / "Spark-TTS-demo").symlink_to(tiny_model, True)
    return tmp_path


def test_without_the_released_weights_the_demonstration_voice_speaks_and_says_so(space, empty_hub):
    port = free_port()
    env = os.environ | {"PORT": str(port), "SPARKTTS_SOURCE": "huggingface", "HF_ENDPOINT": empty_hub, "PYTHONPATH": ""}
    env.pop("SPARKTTS_MODEL_DIR", None)
    with (space / "log").open("w+") as log, \
            subprocess.Popen([sys.executable, "app.py"], cwd=space, env=env, stdout=log, stderr=log) as app:
        def answers():
            try:
                return httpx.get(f"http://127.0.0.1:{port}/config").is_success or app.poll() is not None
            except httpx.HTTPError:
                return app.poll() is not None
        try:
            assert until(answers, 300), Path(log.name).read_text()
            page = httpx.get(f"http://127.0.0.1:{port}/config").text
            assert "Demonstration voice" in page and "演示声音" in page
            said = httpx.post(f"http://127.0.0.1:{port}/tts", data={"text": "Good morning.", "voice": "1"}, timeout=300).json()
            assert said["code"] == 0 and httpx.get(said["url"]).content[:4] == b"RIFF"
        finally:
            app.send_signal(signal.SIGINT)
        assert app.wait(60) == 130
        told = Path(log.name).read_text()
        assert "The released weights cannot be had: " in told and "Traceback" not in told


def module(path: Path):
    made = importlib.util.module_from_spec(spec := importlib.util.spec_from_file_location("app", path))
    spec.loader.exec_module(made)
    return made


def test_the_released_weights_come_first(space, monkeypatch):
    app = module(space / "app.py")
    monkeypatch.setattr(hub, "open_hub", create_autospec(hub.open_hub))
    monkeypatch.setattr(hub, "download", create_autospec(hub.download, side_effect=lambda _, folder: folder))
    monkeypatch.delenv("SPARKTTS_MODEL_DIR", raising=False)
    assert app.model() == app.RELEASED and "CC BY-NC-SA" in app.NOTE[app.RELEASED]
    monkeypatch.setenv("SPARKTTS_MODEL_DIR", "elsewhere")
    assert app.model() == Path("elsewhere")


def test_the_space_installs_what_the_page_needs():
    def pins(*names):
        lines = [line.split("#")[0].strip() for name in names for line in (ROOT / name).read_text().splitlines()]
        return {line for line in lines if line and not line.startswith("-r")}
    modelscope = re.search(r'^modelscope = \["(.+)"\]', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert pins("examples/sparktts/requirements.txt") == pins("requirements.txt", "requirements-web.txt") | {modelscope}
