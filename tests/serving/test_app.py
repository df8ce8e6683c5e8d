"""The application as process managers start it, and its guards."""

import sys

import httpx
import pytest
from starlette.testclient import TestClient

from sparktts_ms.errors import InputError
from sparktts_ms.serving.app import create_app
from sparktts_ms.serving.environment import (
    default_model_dir,
    load_service,
    settings_from_environment,
)


def test_a_factory_for_process_managers(tiny_model, monkeypatch):
    monkeypatch.setenv("SPARKTTS_MODEL_DIR", str(tiny_model))
    monkeypatch.setenv("SPARKTTS_DEVICE_TARGET", "CPU")
    monkeypatch.setenv("SPARKTTS_API_KEY", "one, two")
    with TestClient(create_app()) as client:
        assert client.get("/health/ready").status_code == 200
        assert client.get("/nothing").status_code == 401
        key = {"Authorization": "Bearer two"}
        assert client.get("/nothing", headers=key).status_code == 404


@pytest.mark.parametrize("value, kept", [("", None), ("0", None), ("1", "voices"),
                                         ("named", "named")])
def test_voices_are_kept_where_the_environment_says(tiny_model, monkeypatch, tmp_path, value, kept):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARKTTS_MODEL_DIR", str(tiny_model))
    monkeypatch.setenv("SPARKTTS_DEVICE_TARGET", "CPU")
    monkeypatch.setenv("SPARKTTS_WEIGHT_CACHE", "weights")
    monkeypatch.setenv("SPARKTTS_VOICE_CACHE", value)
    with load_service():
        assert [path.name for path in tmp_path.iterdir()
                if path.name != "weights"] == ([kept] if kept else [])


def test_settings_come_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SPARKTTS_VOICES", str(tmp_path))
    monkeypatch.setenv("SPARKTTS_MAX_QUEUE", "7")
    monkeypatch.setenv("SPARKTTS_GRPC_PORT", "8001")
    settings = settings_from_environment()
    assert (settings.voices, settings.max_queue, settings.grpc_port) == (tmp_path, 7, 8001)
    monkeypatch.setenv("SPARKTTS_MAX_QUEUE", "many")
    with pytest.raises(InputError, match="SPARKTTS_MAX_QUEUE is 'many'; it must be a number"):
        settings_from_environment()


def test_the_released_model_goes_before_the_demonstration_model(tmp_path):
    assert default_model_dir(tmp_path).name == "Spark-TTS-demo"
    (tmp_path / "Spark-TTS-0.5B").mkdir()
    assert default_model_dir(tmp_path).name == "Spark-TTS-0.5B"


def test_hosts_and_origins_are_checked(server):
    url = server.http.url + "health"
    assert httpx.get(url).status_code == 200
    assert httpx.get(url, headers={"Host": "evil.example"}).status_code == 403
    own = httpx.post(url, headers={"Origin": server.http.url.rstrip("/")})
    other = httpx.post(url, headers={"Origin": "https://evil.example"})
    assert (own.status_code, other.status_code) == (405, 403)


def test_what_is_unknown_is_not_found(server):
    assert httpx.get(server.http.url + "v1/unknown").status_code == 404
    assert httpx.delete(server.http.url + "health").status_code == 405


def test_the_server_needs_no_gradio():
    import subprocess

    code = ("import sys; sys.modules['gradio'] = None\n"
            "import sparktts_ms.serving.app, cli.serve")
    subprocess.run([sys.executable, "-c", code], check=True)
