"""Bodies of HTTP requests, and of responses as the real client reads them."""

import gzip
import json
import zlib

import numpy as np
import pytest
from tritonclient.http import InferInput, InferRequestedOutput, InferResult
from tritonclient.http._utils import _get_inference_request

from sparktts_ms.errors import InputError
from sparktts_ms.serving.kserve.http_body import (
    compress,
    decompress,
    encode_response,
    parse_request,
)
from sparktts_ms.serving.kserve.models import MODELS

VOCODER = MODELS["vocoder"]
SPARK_TTS = MODELS["spark_tts"]
GLOBAL = np.arange(32, dtype=np.int32).reshape(1, 32)
SEMANTIC = np.arange(50, dtype=np.int32).reshape(1, 50)


def tensor(name, array, datatype, **fields):
    return {"name": name, "shape": list(array.shape), "datatype": datatype,
            "data": array.tolist(), **fields}


def vocoder_body(**fields):
    inputs = [tensor("global_tokens", GLOBAL, "INT32"),
              tensor("semantic_tokens", SEMANTIC, "INT32")]
    return {"inputs": inputs, **fields}


def refusal(model, body, header_length=""):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(InputError) as caught:
        parse_request(model, content, header_length)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def client_body(binary, outputs=None, parameters=None):
    """A body as tritonclient.http makes it, and its header's length."""
    inputs = [InferInput("global_tokens", GLOBAL.shape, "INT32"),
              InferInput("semantic_tokens", SEMANTIC.shape, "INT32")]
    inputs[0].set_data_from_numpy(GLOBAL, binary_data=binary[0])
    inputs[1].set_data_from_numpy(SEMANTIC, binary_data=binary[1])
    body, size = _get_inference_request(inputs, "7", outputs, 0, False, False, 0, None, parameters)
    return body, "" if size is None else str(size)


@pytest.mark.parametrize("binary", [(True, True), (True, False), (False, True), (False, False)])
def test_binary_and_json_inputs_mix(binary):
    body, size = client_body(binary, parameters={"seed": 3})
    request = parse_request(VOCODER, body, size)
    np.testing.assert_array_equal(request.inputs["global_tokens"], GLOBAL)
    np.testing.assert_array_equal(request.inputs["semantic_tokens"], SEMANTIC)
    assert request.id == "7" and request.batch == 1 and request.parameters["seed"] == 3


def test_the_id_of_the_body_comes_before_that_of_the_address():
    content = json.dumps(vocoder_body()).encode()
    assert parse_request(VOCODER, content, "", "0").id == "0"
    content = json.dumps(vocoder_body(id="body")).encode()
    assert parse_request(VOCODER, content, "", "0").id == "body"


@pytest.mark.parametrize("binary_data", [True, False])
def test_responses_as_the_client_reads_them(binary_data):
    outputs = [InferRequestedOutput("semantic_tokens", binary_data=True),
               InferRequestedOutput("global_tokens", binary_data=binary_data)]
    tokenizer = MODELS["audio_tokenizer"]
    body = {"inputs": [tensor("reference_wav", np.ones((1, 2)), "FP32"),
                       tensor("reference_wav_len", np.ones((1, 1), int), "INT32")],
            "outputs": [output._get_tensor() for output in outputs]}
    request = parse_request(tokenizer, json.dumps(body).encode())
    content, size = encode_response(
        request, {"global_tokens": GLOBAL, "semantic_tokens": SEMANTIC})
    result = InferResult.from_response_body(content, header_length=size or None)
    np.testing.assert_array_equal(result.as_numpy("global_tokens"), GLOBAL)
    np.testing.assert_array_equal(result.as_numpy("semantic_tokens"), SEMANTIC)
    names = [output["name"] for output in result.get_response()["outputs"]]
    assert names == ["semantic_tokens", "global_tokens"]        # in the order they were asked for


def test_without_outputs_all_are_json():
    request = parse_request(VOCODER, json.dumps(vocoder_body()).encode())
    waveform = np.array([[0.1, -0.25]], np.float32)
    content, size = encode_response(request, {"waveform": waveform})
    fields = json.loads(content)
    assert size == 0 and fields["outputs"] == [
        {"name": "waveform", "datatype": "FP32", "shape": [1, 2],
         "data": [float(np.float32(0.1)), -0.25]}]
    assert fields["model_name"] == "vocoder" and fields["model_version"] == "1"


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"1", b"null", b"\xff", b"[" * 100_000, b'{"inputs": ' + b"[" * 100_000,
    {}, {"inputs": None}, {"inputs": {}}, {"inputs": [1]}, {"inputs": []},
    vocoder_body(id=1), vocoder_body(outputs={}), vocoder_body(outputs=["waveform"]),
    vocoder_body(outputs=[{"name": "audio"}]), vocoder_body(outputs=[{}]),
    vocoder_body(parameters=[]), vocoder_body(parameters={"seed": [1]}),
    vocoder_body(inputs=[tensor("global_tokens", GLOBAL, "INT32")] * 2),
    vocoder_body(inputs=[{**tensor("global_tokens", GLOBAL, "INT32"), "parameters": 1}])])
def test_bodies_that_are_no_request(body):
    refusal(VOCODER, body)


def test_unknown_inputs_and_outputs_are_named():
    body = vocoder_body()
    body["inputs"].append(tensor("speaker", GLOBAL, "INT32"))
    assert "'speaker'" in refusal(VOCODER, body)
    assert "'audio'" in refusal(VOCODER, vocoder_body(outputs=[{"name": "audio"}]))


def test_rows_must_agree():
    body = vocoder_body()
    body["inputs"][0] = tensor("global_tokens", np.repeat(GLOBAL, 2, 0), "INT32")
    assert "global_tokens 2, semantic_tokens 1" in refusal(VOCODER, body)


@pytest.mark.parametrize("parameters", [
    {"shared_memory_region": "a", "shared_memory_byte_size": 8}, {"classification": 3}])
def test_shared_memory_and_classification_are_refused(parameters):
    body = vocoder_body()
    body["inputs"][0]["parameters"] = parameters
    assert "global_tokens" in refusal(VOCODER, body)
    body = vocoder_body(outputs=[{"name": "waveform", "parameters": parameters}])
    assert "waveform" in refusal(VOCODER, body)


@pytest.mark.parametrize("size", ["x", "-1", "1e3", "99999999999999999999", "+5", "1 "])
def test_damaged_header_lengths(size):
    body, _ = client_body((True, True))
    assert "Inference-Header-Content-Length" in refusal(VOCODER, body, size)


@pytest.mark.parametrize("change", [-4, 4])
def test_binary_data_that_is_cut_or_too_long(change):
    body, size = client_body((True, True))
    body = body[:change] if change < 0 else body + bytes(change)
    assert "bytes" in refusal(VOCODER, body, size)


@pytest.mark.parametrize("declared", [-1, 1.5, "128", True, None, 1 << 62])
def test_damaged_sizes_of_binary_data(declared):
    body = vocoder_body()
    del body["inputs"][0]["data"]
    body["inputs"][0]["parameters"] = {"binary_data_size": declared}
    refusal(VOCODER, body)


def test_an_input_without_data():
    body = vocoder_body()
    del body["inputs"][1]["data"]
    assert "semantic_tokens has no data" in refusal(VOCODER, body)


@pytest.mark.parametrize("encoding, pack", [
    ("gzip", gzip.compress), ("deflate", zlib.compress), ("", bytes), ("identity", bytes)])
def test_compressed_bodies(encoding, pack):
    body = b"samples" * 1000
    assert decompress(pack(body), encoding, len(body)) == body


@pytest.mark.parametrize("body, encoding, code", [
    (gzip.compress(bytes(1 << 20), mtime=0), "gzip", "too_large"),
    (zlib.compress(bytes(1 << 20)), "deflate", "too_large"),
    (gzip.compress(b"samples", mtime=0)[:-9], "gzip", "invalid_body"),
    (b"samples", "gzip", "invalid_body"),
    (b"samples", "deflate", "invalid_body"),
    (b"samples", "zstd", "invalid_body")])
def test_damaged_and_exploding_bodies(body, encoding, code):
    with pytest.raises(InputError) as caught:
        decompress(body, encoding, 1000)
    assert caught.value.code == code


@pytest.mark.parametrize("accepted, encoding", [
    ("", ""), ("identity", ""), ("br", ""), ("gzip;q=0", ""), ("gzip;q=0.0, deflate", "deflate"),
    ("gzip, deflate", "gzip"), ("deflate", "deflate"), ("br, gzip;q=0.5", "gzip")])
def test_responses_are_compressed_as_accepted(accepted, encoding):
    body, used = compress(b"samples", accepted)
    assert used == encoding and decompress(body, used, 1000) == b"samples"
