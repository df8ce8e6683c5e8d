"""HTTP: by the real client, and as upstream's client and others send JSON."""

import asyncio
import gzip
import json
import socket
import threading
import time

import httpx
import numpy as np
import pytest
import tritonclient.http as client
import tritonclient.http.aio as aio_client
from tritonclient.utils import InferenceServerException

from tests.helpers import wait_until
from tests.serving.kserve.request_tensors import GENERATED, SHORT, arrays, inputs, reference

SECONDS = 120.0
TEXT = {"name": "target_text", "shape": [1, 1], "datatype": "BYTES", "data": ["Hello."]}


def infer(http_client, values, model="spark_tts", **options):
    options.setdefault("parameters", SHORT if model == "spark_tts" else None)
    return http_client.infer(model, inputs(client, values), **options)


def refusal(http_client, values, model="spark_tts", **options):
    """Status and message of a refused request."""
    with pytest.raises(InferenceServerException) as caught:
        infer(http_client, values, model, **options)
    message = caught.value.message()
    assert message and "\n" not in message and "Traceback" not in message
    return caught.value.status(), message


def upstreams_body(samples, reference_text="", target_text="Hello."):
    """As upstream's client_http.py makes it: nested lists of numbers, flat lists of texts."""
    return {"inputs": [
        {"name": "reference_wav", "shape": [1, len(samples)], "datatype": "FP32",
         "data": samples[np.newaxis].tolist()},
        {"name": "reference_wav_len", "shape": [1, 1], "datatype": "INT32",
         "data": [[len(samples)]]},
        {"name": "reference_text", "shape": [1, 1], "datatype": "BYTES", "data": [reference_text]},
        {"name": "target_text", "shape": [1, 1], "datatype": "BYTES", "data": [target_text]}]}


@pytest.fixture
def url(kserve):
    return kserve.http.url.rstrip("/")


def post(url, body, model="spark_tts", **options):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{url}/v2/models/{model}/infer", content=content, timeout=SECONDS, **options)


def test_health_and_metadata(http_client, url):
    assert http_client.is_server_live() and http_client.is_server_ready()
    assert http_client.is_model_ready("vocoder") and http_client.is_model_ready("vocoder", "1")
    assert not http_client.is_model_ready("vocoder", "2")
    assert not http_client.is_model_ready("f5_tts")
    metadata = http_client.get_server_metadata()
    assert metadata["name"] == "spark-tts-mindspore"
    assert set(metadata["extensions"]) >= {"binary_tensor_data", "statistics"}
    assert http_client.get_model_metadata("vocoder", "1")["outputs"] == [
        {"name": "waveform", "datatype": "FP32", "shape": [-1, -1]}]
    assert http_client.get_model_config("vocoder")["input"][0] == {
        "name": "global_tokens", "data_type": "TYPE_INT32", "dims": [-1]}
    index = http_client.get_model_repository_index()
    assert {(model["name"], model["version"], model["state"]) for model in index} == {
        (name, "1", "READY") for name in ("spark_tts", "audio_tokenizer", "vocoder")}
    for path in ("/v2", "/v2/health/live", "/v2/health/ready"):
        assert httpx.get(url + path).status_code == 200


def test_upstreams_request(url):
    """client_http.py: `request_id` in the address, and a flat list of samples in the answer."""
    body = {**upstreams_body(reference()), "parameters": SHORT}
    response = post(url, body, params={"request_id": "0"})
    assert response.status_code == 200
    result = response.json()
    assert result["id"] == "0" and result["model_name"] == "spark_tts"
    [output] = result["outputs"]
    waveform = np.array(output["data"], np.float32)
    assert waveform.ndim == 1 and waveform.size == output["shape"][1] > 0
    assert np.abs(waveform).max() <= 1


@pytest.mark.parametrize("binary", [True, False])
def test_client_sends_and_receives_both_forms(http_client, binary):
    outputs = [client.InferRequestedOutput("waveform", binary_data=binary)]
    tensors = inputs(client, arrays(), binary_data=binary)
    result = http_client.infer("spark_tts", tensors, outputs=outputs, parameters=SHORT,
                               request_id="7")
    expected = infer(http_client, arrays()).as_numpy("waveform")
    np.testing.assert_array_equal(result.as_numpy("waveform"), expected)
    assert result.get_response()["id"] == "7"


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compression_both_ways(http_client, algorithm):
    values = {"target_text": arrays()["target_text"]}
    expected = infer(http_client, values, parameters=GENERATED).as_numpy("waveform")
    result = infer(http_client, values, parameters=GENERATED,
                   request_compression_algorithm=algorithm,
                   response_compression_algorithm=algorithm)
    np.testing.assert_array_equal(result.as_numpy("waveform"), expected)


def test_async_and_aio_clients(http_client, kserve):
    values = {"target_text": arrays()["target_text"]}
    pending = http_client.async_infer("spark_tts", inputs(client, values), parameters=GENERATED)
    expected = pending.get_result().as_numpy("waveform")

    async def call():
        async with aio_client.InferenceServerClient(f"127.0.0.1:{kserve.http.port}") as aio:
            assert await aio.is_server_ready()
            result = await aio.infer("spark_tts", inputs(aio_client, values), parameters=GENERATED,
                                     response_compression_algorithm="gzip")
            return result.as_numpy("waveform")

    np.testing.assert_array_equal(asyncio.run(call()), expected)


def test_tokens_there_and_back(http_client):
    wav = {name: value for name, value in arrays().items() if name.startswith("reference_wav")}
    outputs = [client.InferRequestedOutput("semantic_tokens"),
               client.InferRequestedOutput("global_tokens", binary_data=False)]
    result = infer(http_client, wav, "audio_tokenizer", outputs=outputs)
    tokens = {name: result.as_numpy(name) for name in ("global_tokens", "semantic_tokens")}
    waveform = infer(http_client, tokens, "vocoder").as_numpy("waveform")
    assert waveform.shape == (1, 320 * tokens["semantic_tokens"].shape[1])


def test_a_minute_of_reference_passes(http_client, url):
    samples = reference(60.0)
    assert infer(http_client, arrays(samples=samples)).as_numpy("waveform").size
    response = post(url, {**upstreams_body(samples), "parameters": SHORT})
    assert response.status_code == 200 and response.json()["outputs"][0]["data"]


@pytest.mark.parametrize("model", ["spark_tts", "f5_tts"])
def test_bodies_have_a_limit(url, model):
    response = post(url, b"[" + b" " * (33 << 20) + b"]", model)
    assert response.status_code == 413
    assert "32 MB" in response.json()["error"]


def test_compressed_bodies_have_the_same_limit(url):
    body = gzip.compress(b" " * (33 << 20))
    response = post(url, body, headers={"Content-Encoding": "gzip"})
    assert response.status_code == 413 and "32 MB" in response.json()["error"]


def generated(*tensors, **parameters):
    return {"inputs": list(tensors), "parameters": {**GENERATED, **parameters}}


@pytest.mark.parametrize("body", [
    b"", b"{", b"\xff\xfe", b"[]", {}, {"inputs": []}, {"inputs": [TEXT]}, generated(TEXT, TEXT),
    generated({**TEXT, "data": [""]}), generated({**TEXT, "data": ["\ud800"]}),
    generated({**TEXT, "shape": [1]}), generated({**TEXT, "datatype": "FP32"}),
    generated(TEXT, gender="nobody"), {"inputs": [TEXT], "parameters": {"voice": "nobody"}}])
def test_bad_bodies(url, body):
    response = post(url, body)
    assert response.status_code == 400
    [(key, message)] = response.json().items()
    assert key == "error" and message and "\n" not in message


def test_a_reference_of_numbers_that_are_none(url):
    body = upstreams_body(reference())
    for value in (float("nan"), float("inf"), 1e39, None, "1", [1.0]):
        body["inputs"][0]["data"][0][0] = value
        response = post(url, json.dumps(body).encode())
        assert response.status_code == 400 and "reference_wav" in response.json()["error"]


def test_errors_by_the_client(http_client):
    assert refusal(http_client, arrays(), "f5_tts")[0] == "404"
    assert refusal(http_client, arrays(), model_version="2")[0] == "404"
    status, message = refusal(http_client, arrays(samples=np.zeros(16000, np.float32)))
    assert status == "400" and message.startswith("reference_wav is silent")
    outputs = [client.InferRequestedOutput("audio")]
    assert refusal(http_client, arrays(), outputs=outputs)[0] == "400"
    tensors = inputs(client, arrays())
    tensors[0].set_shared_memory("region", 128000)
    with pytest.raises(InferenceServerException, match="shared memory"):
        http_client.infer("spark_tts", tensors)
    with pytest.raises(InferenceServerException):
        http_client.get_system_shared_memory_status()
    with pytest.raises(InferenceServerException):
        http_client.load_model("spark_tts")


@pytest.mark.parametrize("method, path", [
    ("GET", "/v2/nothing"), ("GET", "/v2/models/f5_tts"), ("GET", "/v2/models/vocoder/versions/2"),
    ("GET", "/v2/models/f5_tts/stats"), ("GET", "/v2/models/f5_tts/config"),
    ("GET", "/v2/models/%2e%2e/config"), ("POST", "/v2/models/" + "x" * 300 + "/infer")])
def test_paths_that_are_not_there(url, method, path):
    response = httpx.request(method, url + path)
    assert response.status_code == 404
    assert set(response.json()) == {"error"} and len(response.json()["error"]) < 300


def test_other_methods(url):
    response = httpx.get(url + "/v2/models/vocoder/infer")
    assert response.status_code == 405 and set(response.json()) == {"error"}


def test_statistics_of_both_protocols_are_the_same(http_client, grpc_client):
    before = http_client.get_inference_statistics("spark_tts")["model_stats"][0]
    infer(http_client, {"target_text": arrays()["target_text"]}, parameters=GENERATED)
    after = http_client.get_inference_statistics()["model_stats"][0]
    assert after["inference_count"] == before["inference_count"] + 1
    by_grpc = grpc_client.get_inference_statistics("spark_tts", as_json=True)["model_stats"][0]
    assert int(by_grpc["inference_count"]) == after["inference_count"]
    stats = http_client.get_inference_statistics("spark_tts", "1")
    assert stats["model_stats"][0]["inference_stats"]["queue"]["ns"] > 0


def test_a_client_that_leaves_frees_its_slot(kserve):
    def slots():
        return kserve.metrics.registry.get_sample_value("spark_tts:num_slots_used")

    text = {**TEXT, "data": ["This goes on and on. " * 40]}
    body = json.dumps({"inputs": [text], "parameters": {"gender": "male", "seed": 1}}).encode()
    with socket.create_connection(("127.0.0.1", kserve.http.port)) as connection:
        connection.sendall(b"POST /v2/models/spark_tts/infer HTTP/1.1\r\nHost: localhost\r\n"
                           b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert wait_until(lambda: slots() > 0, SECONDS)
    assert wait_until(lambda: slots() == 0 and kserve.speech.num_requests == 0, SECONDS)


def test_keys(make_kserve):
    server = make_kserve(api_keys=["a key"])
    url = server.http.url.rstrip("/")
    assert httpx.get(f"{url}/v2/health/ready").status_code == 200
    for path in ("/v2", "/v2/models/stats", "/v2/models/vocoder"):
        response = httpx.get(url + path)
        assert response.status_code == 401 and set(response.json()) == {"error"}
    headers = {"Authorization": "Bearer a key"}
    assert httpx.get(f"{url}/v2", headers=headers).status_code == 200


def test_a_server_that_drains(make_kserve):
    server = make_kserve()
    url = server.http.url.rstrip("/")
    server.speech.refuse_requests()
    assert httpx.get(f"{url}/v2/health/live").status_code == 200
    assert httpx.get(f"{url}/v2/health/ready").status_code == 503
    assert httpx.get(f"{url}/v2/models/vocoder/ready").status_code == 503
    response = post(url, {"inputs": [TEXT], "parameters": GENERATED})
    assert response.status_code == 503 and response.headers["retry-after"]
    assert "shutting down" in response.json()["error"]


def test_a_full_queue(make_kserve):
    server = make_kserve(max_queue=0)
    rows = {**TEXT, "shape": [16, 1], "data": ["This goes on and on. " * 40] * 16}
    body = json.dumps({"inputs": [rows], "parameters": {"gender": "male", "seed": 1}}).encode()
    with socket.create_connection(("127.0.0.1", server.http.port)) as connection:
        connection.sendall(b"POST /v2/models/spark_tts/infer HTTP/1.1\r\nHost: localhost\r\n"
                           b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert wait_until(lambda: server.speech.num_requests >= 16, SECONDS)
        response = post(server.http.url.rstrip("/"), {"inputs": [TEXT], "parameters": GENERATED})
        assert response.status_code == 429 and response.headers["retry-after"]
    assert wait_until(lambda: server.speech.num_requests == 0, SECONDS)


def test_a_large_body_does_not_stop_the_loop(kserve, url):
    """JSON of a minute of samples is parsed beside the event loop."""
    body = json.dumps(upstreams_body(np.zeros(960_000, np.float32))).encode()
    response = {}
    thread = threading.Thread(target=lambda: response.update(status=post(url, body).status_code))
    thread.start()
    answered = 0
    while thread.is_alive():
        assert httpx.get(f"{url}/v2/health/live").status_code == 200
        answered += 1
        time.sleep(0.01)
    assert response["status"] == 400 and answered > 1
