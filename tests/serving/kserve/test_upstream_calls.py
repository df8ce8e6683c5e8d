"""The calls of upstream's two client programs (runtime/triton_trtllm/client_*.py), in their order.
"""

import asyncio
import json
import queue
import uuid

import httpx
import numpy as np
import tritonclient.grpc as sync_client
import tritonclient.grpc.aio as aio_client
from tritonclient.utils import np_to_triton_dtype

from tests.serving.kserve.client_join import join
from tests.serving.kserve.request_tensors import reference

TEXT = "Hello."
TRANSCRIPT = "This is what the reference says."
STAGES = ("queue", "compute_infer", "compute_input", "compute_output")


def request(protocol, samples, padding_seconds):
    """Inputs and outputs; the waveform is padded to a multiple of so many seconds of what reference
    and answer are expected to last."""
    seconds = len(samples) / 16000
    expected = seconds / len(TRANSCRIPT) * len(TEXT) + seconds
    size = padding_seconds * 16000 * (int(expected) // padding_seconds + 1)
    padded = np.zeros((1, size), np.float32)
    padded[0, :len(samples)] = samples
    length = np.array([[len(samples)]], np.int32)
    inputs = [
        protocol.InferInput("reference_wav", padded.shape, np_to_triton_dtype(padded.dtype)),
        protocol.InferInput("reference_wav_len", length.shape, np_to_triton_dtype(length.dtype)),
        protocol.InferInput("reference_text", [1, 1], "BYTES"),
        protocol.InferInput("target_text", [1, 1], "BYTES")]
    inputs[0].set_data_from_numpy(padded)
    inputs[1].set_data_from_numpy(length)
    inputs[2].set_data_from_numpy(np.array([[TRANSCRIPT]], object))
    inputs[3].set_data_from_numpy(np.array([[TEXT]], object))
    return inputs, [protocol.InferRequestedOutput("waveform")]


def check_report(stats, config):
    """What the client writes into its report: it reads these keys from protobuf's JSON, where what
    is zero is missing."""
    [spark_tts] = [model for model in stats["model_stats"] if "last_inference" in model]
    assert spark_tts["name"] == "spark_tts"
    for stage in STAGES:
        assert int(spark_tts["inference_stats"][stage]["ns"]) > 0
    for batch in spark_tts["batch_stats"]:
        assert int(batch["batch_size"]) == 1
        counts = {batch[stage]["count"] for stage in STAGES[1:]}
        assert len(counts) == 1 and int(counts.pop()) > 0
        assert all(int(batch[stage]["ns"]) > 0 for stage in STAGES[1:])
    json.dumps(config)
    assert config["config"]["name"] == "spark_tts"


def test_offline(make_kserve):
    """Tasks share one aio client; then statistics and configuration are fetched."""
    server = make_kserve()
    url = f"localhost:{server.grpc_port}"

    async def run():
        client = aio_client.InferenceServerClient(url=url, verbose=False)

        async def task(number):
            inputs, outputs = request(aio_client, reference(2.0, number), 1)
            response = await client.infer("spark_tts", inputs, request_id=str(100000000 + number),
                                          outputs=outputs)
            return response.as_numpy("waveform").reshape(-1)

        waveforms = await asyncio.gather(task(0), task(10))
        stats_client = aio_client.InferenceServerClient(url=url, verbose=False)
        stats = await stats_client.get_inference_statistics(model_name="", as_json=True)
        config = await stats_client.get_model_config(model_name="spark_tts", as_json=True)
        await stats_client.close()
        await client.close()
        return waveforms, stats, config

    waveforms, stats, config = asyncio.run(run())
    assert all(len(waveform) and len(waveform) % 320 == 0 for waveform in waveforms)
    check_report(stats, config)


def test_streaming(make_kserve):
    """A client for each task, a stream for each request, read until the final response."""
    server = make_kserve()
    url = f"localhost:{server.grpc_port}"
    client = sync_client.InferenceServerClient(url=url, verbose=False)
    for number in range(2):
        inputs, outputs = request(sync_client, reference(2.0, number), 10)
        received = queue.Queue()
        client.start_stream(callback=lambda result, error, to=received: to.put(error or result))
        client.async_stream_infer("spark_tts", inputs, request_id=str(uuid.uuid4()),
                                  outputs=outputs, enable_empty_final_response=True)
        chunks = []
        while True:
            result = received.get()
            response = result.get_response()
            if response.parameters["triton_final_response"].bool_param is True:
                break
            chunks.append(result.as_numpy("waveform").reshape(-1))
        client.stop_stream()
        assert all(len(chunk) >= 3200 for chunk in chunks[1:]) and len(join(chunks))
    client.close()

    async def report():
        stats_client = aio_client.InferenceServerClient(url=url, verbose=False)
        stats = await stats_client.get_inference_statistics(model_name="", as_json=True)
        config = await stats_client.get_model_config(model_name="spark_tts", as_json=True)
        await stats_client.close()
        return stats, config

    check_report(*asyncio.run(report()))


def test_http(kserve):
    samples = reference(2.0)
    body = {"inputs": [
        {"name": "reference_wav", "shape": (1, len(samples)), "datatype": "FP32",
         "data": samples.reshape(1, -1).tolist()},
        {"name": "reference_wav_len", "shape": (1, 1), "datatype": "INT32",
         "data": [[len(samples)]]},
        {"name": "reference_text", "shape": [1, 1], "datatype": "BYTES", "data": [TRANSCRIPT]},
        {"name": "target_text", "shape": [1, 1], "datatype": "BYTES", "data": [TEXT]}]}
    response = httpx.post(f"{kserve.http.url}v2/models/spark_tts/infer", json=body,
                          headers={"Content-Type": "application/json"},
                          params={"request_id": "0"}, timeout=120)
    audio = np.array(response.json()["outputs"][0]["data"], dtype=np.float32)
    assert audio.ndim == 1 and len(audio) and len(audio) % 320 == 0
