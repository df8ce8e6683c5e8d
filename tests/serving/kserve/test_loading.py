"""A server whose model is not there yet; and what it says of itself."""

import re

import httpx
import numpy as np
import pytest
import tritonclient.grpc as client
from tritonclient.utils import InferenceServerException

from sparktts_ms.serving.app import create_app
from sparktts_ms.serving.http_server import HttpServer
from sparktts_ms.serving.kserve.inference import SERVER_VERSION
from sparktts_ms.serving.server import SpeechServer
from sparktts_ms.serving.settings import Settings
from tests.helpers import ROOT
from tests.serving.kserve.request_tensors import GENERATED, arrays, inputs


@pytest.fixture
def loading():
    server = SpeechServer(Settings(grpc_port=0))
    server.http = HttpServer(create_app(server), "127.0.0.1", 0).start()
    yield server
    server.http.close()


def test_it_lives_but_is_not_ready(loading):
    url = loading.http.url.rstrip("/")
    assert httpx.get(f"{url}/v2/health/live").status_code == 200
    response = httpx.get(f"{url}/v2/health/ready")
    assert response.status_code == 503 and "loading" in response.json()["error"]
    with client.InferenceServerClient(f"127.0.0.1:{loading.grpc_port}") as grpc_client:
        assert grpc_client.is_server_live() and not grpc_client.is_server_ready()
        assert not grpc_client.is_model_ready("vocoder")
        assert grpc_client.get_model_metadata("vocoder").name == "vocoder"


def test_requests_are_refused_until_it_is_ready(loading):
    text = {"inputs": [{"name": "target_text", "shape": [1, 1], "datatype": "BYTES",
                        "data": ["Hello."]}], "parameters": GENERATED}
    response = httpx.post(f"{loading.http.url}v2/models/spark_tts/infer", json=text)
    assert response.status_code == 503 and response.headers["retry-after"]
    tokens = {"global_tokens": np.zeros((1, 32), np.int32),
              "semantic_tokens": np.zeros((1, 9), np.int32)}
    with client.InferenceServerClient(f"127.0.0.1:{loading.grpc_port}") as grpc_client:
        for model, values in (("spark_tts", arrays()), ("vocoder", tokens)):
            with pytest.raises(InferenceServerException, match=r"UNAVAILABLE.*loading"):
                grpc_client.infer(model, inputs(client, values))


def test_the_version_is_that_of_the_package():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^version = "(.+)"$', project, re.MULTILINE)[1] == SERVER_VERSION
