"""Large requests together: counted as they are without compression, over HTTP and over gRPC."""

import gzip
import json

import httpx
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http

from sparktts_ms.errors import InputError
from sparktts_ms.serving.kserve.http_body import parse_object
from sparktts_ms.serving.kserve.inference import Inference
from sparktts_ms.serving.settings import Limits
from tests.serving.kserve.request_tensors import SHORT, arrays, inputs
from tests.serving.kserve.test_grpc import refusal as grpc_refusal
from tests.serving.kserve.test_http import TEXT
from tests.serving.kserve.test_http import refusal as http_refusal

LARGE = np.full(300_000, 0.1, np.float32)       # compresses well


@pytest.fixture
def memories(monkeypatch):
    """Those of the servers that a test makes."""
    made = []
    init = Inference.__init__

    def remember(self, server):
        init(self, server)
        made.append(self.memory)

    monkeypatch.setattr(Inference, "__init__", remember)
    return made


def test_large_requests_are_refused_when_there_are_too_many(make_kserve, memories):
    server = make_kserve(limits=Limits(bodies=1 << 20))
    address = f"127.0.0.1:{server.http.port}"
    with (tritonclient.http.InferenceServerClient(address) as http_client,
          tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as grpc_client):
        values = arrays(samples=LARGE)
        status, message = http_refusal(http_client, values, request_compression_algorithm="gzip")
        assert status == "429" and "busy" in message
        status, message = grpc_refusal(grpc_client, values, compression_algorithm="gzip")
        assert status == "RESOURCE_EXHAUSTED" and "busy" in message
        small = inputs(tritonclient.grpc, arrays())
        assert grpc_client.infer("spark_tts", small, parameters=SHORT).as_numpy("waveform").size
    assert memories and all(memory.num_bytes == 0 for memory in memories)


def test_requests_are_counted_until_they_are_answered(make_kserve, memories, monkeypatch):
    counted = []
    infer = Inference.infer

    async def watched(self, request, stages):
        counted.append(self.memory.num_bytes)
        return await infer(self, request, stages)

    monkeypatch.setattr(Inference, "infer", watched)
    server = make_kserve()
    content = json.dumps({"inputs": [TEXT], "parameters": SHORT}).encode() + b" " * 500_000
    response = httpx.post(f"{server.http.url}v2/models/spark_tts/infer", timeout=120,
                          content=gzip.compress(content), headers={"Content-Encoding": "gzip"})
    assert response.status_code == 400          # no voice
    assert counted == [len(content)]
    assert all(memory.num_bytes == 0 for memory in memories)


@pytest.mark.parametrize("part", [b"{},", b"[],", b"1.5,", b'"a":1,'])
def test_many_values_are_refused_before_they_take_memory(part):
    begin, end = (b"{", b'"b":1}') if b":" in part else (b'{"inputs": [', b"1]}")
    with pytest.raises(InputError, match="too many values"):
        parse_object(begin + part * 4_000_000 + end)
