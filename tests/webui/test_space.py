"""examples/sparktts/app.py as a hub's space runs it."""

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
from tests.helpers import ROOT, free_port, wait_until

SPACE = ROOT / "examples" / "sparktts"


class EmptyHub(BaseHTTPRequestHandler):
    """Has no files."""

    def do_GET(self):
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


@pytest.fixture
def empty_hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), EmptyHub)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def space(tmp_path, tiny_model):
    """A space's repository as examples/sparktts/README.md describes it."""
    packages = [ROOT / name for name in ("sparktts_ms", "webui", "cli")]
    for part in (*SPACE.iterdir(), *packages):
        if part.name != "app.py":
            (tmp_path / part.name).symlink_to(part, part.is_dir())
    # A copy, since it looks for the packages beside its real path.
    (tmp_path / "app.py").write_bytes((SPACE / "app.py").read_bytes())
    (tmp_path / "pretrained_models").mkdir()
    (tmp_path / "pretrained_models" / "Spark-TTS-demo").symlink_to(tiny_model, True)
    return tmp_path


def test_demo_model_serves_when_the_hub_is_empty(space, empty_hub):
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    env = {
        **os.environ,
        "PORT": str(port),
        "SPARKTTS_SOURCE": "huggingface",
        "HF_ENDPOINT": empty_hub,
        "PYTHONPATH": "",
    }
    env.pop("SPARKTTS_MODEL_DIR", None)
    log_file = space / "log"
    with (
        log_file.open("w") as log,
        subprocess.Popen(
            [sys.executable, "app.py"], cwd=space, env=env, stdout=log, stderr=log
        ) as app,
    ):

        def responds():
            try:
                return httpx.get(f"{address}/config").is_success or app.poll() is not None
            except httpx.HTTPError:
                return app.poll() is not None

        try:
            assert wait_until(responds, 300), log_file.read_text()
            page = httpx.get(f"{address}/config").text
            assert "Demonstration model" in page and "演示模型" in page
            form = {"text": "Good morning.", "voice": "1"}
            response = httpx.post(f"{address}/tts", data=form, timeout=300).json()
            assert response["code"] == 0
            assert httpx.get(response["url"]).content[:4] == b"RIFF"
        finally:
            app.send_signal(signal.SIGINT)
        assert app.wait(60) == 130
    text = log_file.read_text()
    assert "The released weights are not available: " in text and "Traceback" not in text


def load_module(path: Path):
    spec = importlib.util.spec_from_file_location("app", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_released_weights_are_preferred(space, monkeypatch):
    app = load_module(space / "app.py")
    download = create_autospec(hub.download, side_effect=lambda _, folder: folder)
    monkeypatch.setattr(hub, "open_hub", create_autospec(hub.open_hub))
    monkeypatch.setattr(hub, "download", download)
    monkeypatch.delenv("SPARKTTS_MODEL_DIR", raising=False)
    assert app.find_model() == app.RELEASED_MODEL
    assert "CC BY-NC-SA" in app.NOTES[app.RELEASED_MODEL]
    monkeypatch.setenv("SPARKTTS_MODEL_DIR", "elsewhere")
    assert app.find_model() == Path("elsewhere")


def test_space_requirements_equal_those_of_the_repository():
    def pins(*names):
        found = set()
        for name in names:
            for line in (ROOT / name).read_text().splitlines():
                requirement = line.split("#")[0].strip()
                if requirement and not requirement.startswith("-r"):
                    found.add(requirement)
        return found

    pyproject = (ROOT / "pyproject.toml").read_text()
    modelscope = re.search(r'^modelscope = \["(.+)"\]', pyproject, re.MULTILINE)[1]
    names = ("requirements.txt", "requirements-serve.txt", "requirements-web.txt")
    expected = pins(*names) | {modelscope}
    assert pins("examples/sparktts/requirements.txt") == expected
