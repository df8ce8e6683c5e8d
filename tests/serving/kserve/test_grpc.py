"""gRPC, by the real client: tritonclient's sync, aio and decoupled calls."""

import asyncio
import gc
import logging
import queue
import threading
import time
from types import SimpleNamespace
from unittest.mock import AsyncMock

import grpc
import numpy as np
import pytest
import tritonclient.grpc as client
import tritonclient.grpc.aio as aio_client
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from sparktts_ms.errors import InputError
from sparktts_ms.serving.kserve import grpc as kserve_grpc
from sparktts_ms.serving.kserve.grpc import UNSUPPORTED, InferenceServicer, serve_grpc
from sparktts_ms.serving.kserve.inference import Inference
from sparktts_ms.serving.settings import Limits
from tests.helpers import wait_until
from tests.serving.kserve.client_join import OVERLAP, join
from tests.serving.kserve.request_tensors import GENERATED, SHORT, arrays, inputs, reference

SECONDS = 120.0


def infer(grpc_client, values, model="spark_tts", **options):
    options.setdefault("parameters", SHORT if model == "spark_tts" else None)
    return grpc_client.infer(model, inputs(client, values), **options)


def refusal(grpc_client, values, model="spark_tts", **options):
    """Status and message of a refused request."""
    with pytest.raises(InferenceServerException) as caught:
        infer(grpc_client, values, model, **options)
    message = caught.value.message()
    assert message and "\n" not in message and "Traceback" not in message
    return caught.value.status().removeprefix("StatusCode."), message


def stream(grpc_client, requests, parameters=SHORT, expected_finals=None, **options):
    """Responses and errors to requests of one decoupled stream, by request id."""
    received = queue.Queue()
    grpc_client.start_stream(lambda result, error: received.put((result, error)))
    results = {}
    try:
        for request_id, (model, values) in requests.items():
            grpc_client.async_stream_infer(
                model, inputs(client, values), request_id=request_id, parameters=parameters,
                enable_empty_final_response=True, **options)
            results[request_id] = []
        finals = 0
        while finals < len(requests):
            result, error = received.get(timeout=SECONDS)
            assert error is None, error
            response = result.get_response()
            results[response.id].append(result)
            finals += response.parameters["triton_final_response"].bool_param
    finally:
        grpc_client.stop_stream()
    return results


def stream_error(grpc_client, values, model="spark_tts"):
    received = queue.Queue()
    grpc_client.start_stream(lambda result, error: received.put((result, error)))
    grpc_client.async_stream_infer(model, inputs(client, values), request_id="1")
    result, error = received.get(timeout=SECONDS)
    grpc_client.stop_stream()
    assert result is None
    return error.message()


@pytest.fixture(scope="module")
def stub(kserve):
    with grpc.insecure_channel(f"127.0.0.1:{kserve.grpc_port}") as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def test_health_and_metadata(grpc_client):
    assert grpc_client.is_server_live() and grpc_client.is_server_ready()
    for model in ("spark_tts", "audio_tokenizer", "vocoder"):
        assert grpc_client.is_model_ready(model) and grpc_client.is_model_ready(model, "1")
    assert not grpc_client.is_model_ready("vocoder", "2")
    assert not grpc_client.is_model_ready("f5_tts")
    metadata = grpc_client.get_model_metadata("spark_tts", as_json=True)
    assert [(tensor["name"], tensor["datatype"], tensor["shape"])
            for tensor in metadata["inputs"]] == [
        ("reference_wav", "FP32", ["-1", "-1"]), ("reference_wav_len", "INT32", ["-1", "1"]),
        ("reference_text", "BYTES", ["-1", "1"]), ("target_text", "BYTES", ["-1", "1"])]
    index = grpc_client.get_model_repository_index(as_json=True)
    assert {(model["name"], model["state"]) for model in index["models"]} == {
        ("spark_tts", "READY"), ("audio_tokenizer", "READY"), ("vocoder", "READY")}


def test_config(grpc_client):
    config = grpc_client.get_model_config("audio_tokenizer", as_json=True)["config"]
    assert config["max_batch_size"] == 16
    assert config["output"] == [
        {"name": "global_tokens", "data_type": "TYPE_INT32", "dims": ["-1"]},
        {"name": "semantic_tokens", "data_type": "TYPE_INT32", "dims": ["-1"]}]
    config = grpc_client.get_model_config("spark_tts", as_json=True)["config"]
    assert config["model_transaction_policy"] == {"decoupled": True}


def test_infer(grpc_client):
    result = infer(grpc_client, arrays(), request_id="7",
                   outputs=[client.InferRequestedOutput("waveform")])
    waveform = result.as_numpy("waveform")
    assert waveform.dtype == np.float32 and waveform.shape[0] == 1
    assert 0 < waveform.shape[1] <= 60 * 320 and waveform.shape[1] % 320 == 0
    assert np.abs(waveform).max() <= 1 and result.get_response().id == "7"


def test_parameters_reach_the_model(grpc_client):
    """The same seed repeats a waveform; each of the others changes it."""
    first = infer(grpc_client, arrays()).as_numpy("waveform")
    np.testing.assert_array_equal(infer(grpc_client, arrays()).as_numpy("waveform"), first)
    for name, value in (("seed", 2), ("temperature", 2.0), ("top_k", 3), ("top_p", 0.2),
                        ("max_new_tokens", 30), ("pitch", "high"), ("speed", "low")):
        changed = infer(grpc_client, arrays(), parameters={**SHORT, name: value})
        assert not np.array_equal(changed.as_numpy("waveform"), first), name


def test_voices_instead_of_a_reference(grpc_client):
    text = {"target_text": arrays()["target_text"]}
    for parameters in (GENERATED, {**SHORT, "voice": "female"}):
        assert infer(grpc_client, text, parameters=parameters).as_numpy("waveform").size
    status, message = refusal(grpc_client, text, parameters={**SHORT, "voice": "nobody"})
    assert status == "INVALID_ARGUMENT" and "nobody" in message
    status, message = refusal(grpc_client, arrays(), parameters=GENERATED)
    assert status == "INVALID_ARGUMENT" and "reference_wav" in message


def test_padding_after_the_reference_is_not_heard(grpc_client):
    plain = infer(grpc_client, arrays()).as_numpy("waveform")
    padded = infer(grpc_client, arrays(padding=16000)).as_numpy("waveform")
    np.testing.assert_array_equal(padded, plain)


def test_typed_contents(stub, grpc_client):
    """Clients of other languages send numbers as protobuf's, not as bytes."""
    values = arrays()
    request = service_pb2.ModelInferRequest(model_name="spark_tts")
    for name, value in SHORT.items():
        request.parameters[name].int64_param = value
    for name, field, datatype in (
            ("reference_wav", "fp32_contents", "FP32"),
            ("reference_wav_len", "int_contents", "INT32")):
        tensor = request.inputs.add(name=name, datatype=datatype, shape=values[name].shape)
        getattr(tensor.contents, field).extend(values[name].ravel().tolist())
    for name in ("reference_text", "target_text"):
        tensor = request.inputs.add(name=name, datatype="BYTES", shape=[1, 1])
        tensor.contents.bytes_contents.append(values[name][0, 0].encode())
    response = stub.ModelInfer(request, timeout=SECONDS)
    expected = infer(grpc_client, values).as_numpy("waveform")
    assert response.raw_output_contents[0] == expected.tobytes()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compression(grpc_client, algorithm):
    plain = infer(grpc_client, arrays()).as_numpy("waveform")
    packed = infer(grpc_client, arrays(), compression_algorithm=algorithm).as_numpy("waveform")
    np.testing.assert_array_equal(packed, plain)


def test_compressed_messages_have_the_same_limit(grpc_client):
    values = arrays(samples=np.zeros(9 << 20, np.float32))
    status, message = refusal(grpc_client, values, compression_algorithm="gzip")
    assert status == "RESOURCE_EXHAUSTED" and "larger than max" in message


def test_rows_of_a_batch_equal_single_requests(grpc_client):
    rows = [arrays(samples=reference(2.0, 1)), arrays("A longer text, as it were.", padding=8000,
                                                      samples=reference(1.5, 2))]
    batch = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    waveform = infer(grpc_client, batch).as_numpy("waveform")
    assert len(waveform) == 2
    for row, values in zip(waveform, rows, strict=True):
        single = infer(grpc_client, values).as_numpy("waveform")[0]
        np.testing.assert_allclose(row[:len(single)], single, atol=2e-5)
        assert not row[len(single):].any()


def test_tokens_there_and_back(grpc_client):
    samples = reference(3.0)
    wav = {name: value for name, value in arrays(samples=samples).items()
           if name.startswith("reference_wav")}
    tokens = infer(grpc_client, wav, "audio_tokenizer")
    assert tokens.as_numpy("global_tokens").shape == (1, 32)
    frames = tokens.as_numpy("semantic_tokens").shape[1]
    assert frames == (len(samples) - 400) // 320 + 1        # of wav2vec 2.0's convolutions
    waveform = infer(grpc_client, {name: tokens.as_numpy(name)
                                   for name in ("global_tokens", "semantic_tokens")}, "vocoder")
    assert waveform.as_numpy("waveform").shape == (1, 320 * frames)


def test_vocoder_decodes_as_the_codec(grpc_client, service):
    random = np.random.default_rng(5)
    tokens = {"global_tokens": random.integers(0, 4096, (2, 32)).astype(np.int32),
              "semantic_tokens": random.integers(0, 8192, (2, 150)).astype(np.int32)}
    tokens["semantic_tokens"][1, 40:] = -1          # a shorter row
    waveform = infer(grpc_client, tokens, "vocoder").as_numpy("waveform")
    decode = service.tts.codec.decode
    whole = decode(tokens["global_tokens"][0], tokens["semantic_tokens"][0])
    short = decode(tokens["global_tokens"][1], tokens["semantic_tokens"][1, :40])
    np.testing.assert_allclose(waveform[0], whole, atol=1e-4)
    np.testing.assert_allclose(waveform[1, :len(short)], short, atol=1e-4)
    assert not waveform[1, len(short):].any()


@pytest.mark.parametrize("samples, words", [
    (np.full(16000, np.nan, np.float32), "reference_wav contains NaN"),
    (np.zeros(16000, np.float32), "reference_wav is silent"),
    (reference(0.02), "reference_wav lasts 20.0 ms")])
def test_recordings_without_tokens(grpc_client, samples, words):
    wav = {"reference_wav": samples[np.newaxis],
           "reference_wav_len": np.array([[len(samples)]], np.int32)}
    status, message = refusal(grpc_client, wav, "audio_tokenizer")
    assert status == "INVALID_ARGUMENT" and message.startswith(words)


def test_rows_of_other_lengths_have_other_numbers_of_tokens(grpc_client):
    wav = np.stack([reference(3.0), reference(3.0, 1)])
    lengths = np.array([[48000], [16000]], np.int32)
    tokens = infer(grpc_client, {"reference_wav": wav, "reference_wav_len": lengths},
                   "audio_tokenizer").as_numpy("semantic_tokens")
    assert (tokens[0] >= 0).all()
    assert (tokens[1, :49] >= 0).all() and (tokens[1, 49:] == -1).all()


def test_aio_client(kserve):
    async def call():
        async with aio_client.InferenceServerClient(f"127.0.0.1:{kserve.grpc_port}") as aio:
            assert await aio.is_server_ready()
            results = await asyncio.gather(*(
                aio.infer("spark_tts", inputs(aio_client, arrays()), request_id=str(n),
                          parameters=SHORT) for n in range(3)))
            return [result.as_numpy("waveform") for result in results]

    first, *others = asyncio.run(call())
    for other in others:
        np.testing.assert_allclose(other, first, atol=2e-5)


def test_aio_stream(kserve):
    """This client cannot ask for the empty last response; the stream ends after its requests."""
    async def call():
        async def requests():
            yield {"model_name": "spark_tts", "inputs": inputs(aio_client, arrays()),
                   "parameters": SHORT}

        chunks = []
        async with aio_client.InferenceServerClient(f"127.0.0.1:{kserve.grpc_port}") as aio:
            async for result, error in aio.stream_infer(requests()):
                assert error is None
                chunks.append(result.as_numpy("waveform"))
        return chunks

    chunks = asyncio.run(call())
    assert len(chunks) >= 2 and all(chunk.size for chunk in chunks)


def test_stream_joined_by_upstreams_rule_is_the_waveform(grpc_client):
    """The decoder's look-ahead keeps streams within -50 dB after their first chunk, which comes
    early; the same ids have the same seed."""
    parameters = {"seed": 3, "max_new_tokens": 300}
    results = stream(grpc_client, {"1": ("spark_tts", arrays())}, parameters)["1"]
    *chunks, final = results
    assert len(final.get_response().outputs) == 0 and len(chunks) >= 3
    assert not any(chunk.get_response().parameters["triton_final_response"].bool_param
                   for chunk in chunks)
    joined = join([chunk.as_numpy("waveform").reshape(-1) for chunk in chunks])
    whole = infer(grpc_client, arrays(), parameters=parameters).as_numpy("waveform")[0]
    assert len(joined) == len(whole)
    begin = chunks[0].as_numpy("waveform").size + 2 * OVERLAP
    error = np.sqrt(np.mean((joined - whole)[begin:]**2) / np.mean(whole**2))
    assert error < 10**(-50 / 20)


def test_many_requests_of_one_stream(grpc_client):
    text = {"target_text": arrays()["target_text"]}
    results = stream(grpc_client, {str(n): ("spark_tts", text) for n in range(5)}, GENERATED)
    whole = infer(grpc_client, text, parameters=GENERATED).as_numpy("waveform")[0]
    for chunks in results.values():
        joined = join([chunk.as_numpy("waveform")[0] for chunk in chunks[:-1]])
        assert len(joined) == len(whole)


def test_rows_of_a_stream(grpc_client):
    text = {"target_text": np.array([["One."], ["Two, three."]], object)}
    chunks = stream(grpc_client, {"1": ("spark_tts", text)}, GENERATED)["1"][:-1]
    whole = infer(grpc_client, text, parameters=GENERATED).as_numpy("waveform")
    rows = [chunk.get_response().parameters["row"].int64_param for chunk in chunks]
    assert rows == sorted(rows) and set(rows) == {0, 1}
    for row in (0, 1):
        joined = join([chunk.as_numpy("waveform")[0] for chunk, number
                       in zip(chunks, rows, strict=True) if number == row])
        assert len(joined) <= whole.shape[1] and not whole[row, len(joined):].any()


def test_models_that_are_not_decoupled_have_one_response(grpc_client):
    wav = {name: value for name, value in arrays().items() if name.startswith("reference_wav")}
    [response] = stream(grpc_client, {"1": ("audio_tokenizer", wav)}, None)["1"]
    assert response.as_numpy("global_tokens").shape == (1, 32)


def test_without_asking_there_is_no_empty_response(stub):
    values = {"target_text": arrays()["target_text"]}
    request = client._utils._get_inference_request(
        "spark_tts", inputs(client, values), "", "1", None, 0, False, False, 0, None, GENERATED)
    responses = list(stub.ModelStreamInfer(iter([request]), timeout=SECONDS))
    assert all(response.infer_response.outputs for response in responses)


def slots(kserve):
    return kserve.metrics.registry.get_sample_value("spark_tts:num_slots_used")


@pytest.mark.parametrize("way", ["stream", "call", "deadline"])
def test_a_client_that_leaves_frees_its_slot(kserve, grpc_client, way):
    values = {"target_text": np.array([["This goes on and on. " * 40]], object)}
    parameters = {"gender": "male", "seed": 1}
    started = threading.Event()
    if way == "stream":
        grpc_client.start_stream(lambda result, error: started.set())
        grpc_client.async_stream_infer("spark_tts", inputs(client, values), parameters=parameters)
        assert started.wait(SECONDS)
        grpc_client.stop_stream(cancel_requests=True)
    elif way == "deadline":
        with pytest.raises(InferenceServerException, match="DEADLINE_EXCEEDED"):
            infer(grpc_client, values, parameters=parameters, client_timeout=1)
    else:
        call = grpc_client.async_infer("spark_tts", inputs(client, values),
                                       lambda result, error: started.set(), parameters=parameters)
        assert wait_until(lambda: slots(kserve) > 0, SECONDS)
        call.cancel()
    assert wait_until(lambda: slots(kserve) == 0, SECONDS)
    assert wait_until(lambda: kserve.speech.num_requests == 0, SECONDS)


def test_a_client_that_does_not_read_is_left(kserve, monkeypatch):
    """Without probes of its bandwidth, a client takes 64 KB of a stream before it reads."""
    monkeypatch.setattr(kserve_grpc, "READ_SECONDS", 0.5)
    values = {"target_text": np.array([["This goes on and on. " * 40]], object)}
    request = client._utils._get_inference_request(
        "spark_tts", inputs(client, values), "", "1", None, 0, False, False, 0, None,
        {"gender": "male", "seed": 1, "max_new_tokens": 400})
    address = f"127.0.0.1:{kserve.grpc_port}"
    with grpc.insecure_channel(address, [("grpc.http2.bdp_probe", 0)]) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        requests = queue.Queue()            # as tritonclient's, it stays open
        requests.put(request)
        unread = stub.ModelStreamInfer(iter(requests.get, None))
        assert wait_until(lambda: kserve.speech.num_requests > 0, SECONDS)
        assert wait_until(lambda: kserve.speech.num_requests == 0, SECONDS)
        with pytest.raises(grpc.RpcError) as caught:
            list(unread)
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        requests.put(None)


@pytest.mark.parametrize("num_responses", [1, 3])
def test_a_client_that_leaves_while_something_is_sent(num_responses):
    """gRPC raises an internal error then, now and then; it ends the stream, and is nobody's."""
    ended = grpc.aio.InternalError('Failed "execute_batch"')
    write = AsyncMock(side_effect=[None] * (num_responses - 1) + [ended])
    context = SimpleNamespace(write=write, abort=AsyncMock())
    servicer = kserve_grpc.InferenceServicer(None)

    async def answer(request, context, send):
        while True:
            await send(request)

    async def requests():
        yield "a request"

    servicer._answer = answer
    asyncio.run(servicer.ModelStreamInfer(requests(), context))
    assert write.await_count == num_responses and not context.abort.await_count


def logged(caplog, request_id):
    return [record.getMessage() for record in caplog.records
            if record.getMessage().endswith(request_id)]


def test_request_ids(stub, caplog):
    """Of the metadata, of the message, or new: in the log, and in the trailing metadata."""
    caplog.set_level(logging.INFO, "sparktts_ms")
    for message_id, metadata, expected in (
            ("of-message", (), "of-message"), ("of-message", (("x-request-id", "given"),), "given"),
            ("no id, as it has spaces", (), "req-")):
        request = service_pb2.ModelInferRequest(model_name="f5\n_tts", id=message_id)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(request, metadata=metadata, timeout=SECONDS)
        [value] = [value for key, value in caught.value.trailing_metadata()
                   if key == "x-request-id"]
        assert value.startswith(expected)
        assert wait_until(lambda name=value: logged(caplog, name))      # after the answer
        [line] = logged(caplog, value)
        assert "\n" not in line and line.startswith("gRPC ModelInfer") and "NOT_FOUND" in line
        caplog.clear()


def without(name):
    values = arrays()
    del values[name]
    return values


def changed(**values):
    return {**arrays(), **values}


WRONG_INPUTS = {
    "no target_text": (without("target_text"), "target_text"),
    "no reference_wav": (without("reference_wav"), "reference_wav"),
    "no reference_text": (without("reference_text"), "reference_text"),
    "unknown input": (changed(speaker=np.zeros((1, 1), np.float32)), "'speaker'"),
    "flat wav": (changed(reference_wav=reference()), "reference_wav"),
    "flat text": (changed(target_text=np.array(["Hello."], object)), "target_text"),
    "two texts": (changed(target_text=np.array([["a", "b"]], object)), "target_text"),
    "text of another type": (changed(target_text=np.ones((1, 1), np.int32)), "BYTES"),
    "length of another type": (changed(reference_wav_len=np.ones((1, 1), np.float32)), "INT32"),
    "rows that differ": (changed(reference_wav=np.zeros((2, 9), np.float32)), "reference_wav 2"),
    "too many rows": ({name: np.repeat(value, 17, 0) for name, value in arrays().items()}, "17"),
    "no rows": ({name: value[:0] for name, value in arrays().items()}, "0"),
    "negative length": (changed(reference_wav_len=np.array([[-1]], np.int32)), "is -1"),
    "length of zero": (changed(reference_wav_len=np.array([[0]], np.int32)), "is 0"),
    "length beyond wav": (changed(reference_wav_len=np.array([[99999]], np.int32)), "is 99999"),
    "empty text": (changed(target_text=np.array([[""]], object)), "target_text"),
    "blank text": (changed(target_text=np.array([[" \n"]], object)), "target_text"),
    "text that is no UTF-8": (changed(target_text=np.array([[b"\xff\xfe"]], object)), "UTF-8"),
    "transcript that is no UTF-8": (changed(reference_text=np.array([[b"\xff"]], object)), "UTF-8"),
    "long text": (changed(target_text=np.array([["a" * 20_001]], object)), "20,001"),
    "NaN": (arrays(samples=np.full(16000, np.nan, np.float32)), "reference_wav"),
    "infinity": (arrays(samples=np.full(16000, np.inf, np.float32)), "reference_wav"),
    "huge samples": (arrays(samples=reference() * np.float32(1e30)), "reference_wav"),
    "silence": (arrays(samples=np.zeros(16000, np.float32)), "reference_wav is silent"),
    "hardly anything": (arrays(samples=reference(0.01)), "reference_wav lasts"),
    "empty wav": (arrays(samples=reference(0.0)), "reference_wav_len"),
}


@pytest.mark.parametrize("case", WRONG_INPUTS)
def test_wrong_inputs(grpc_client, case):
    values, words = WRONG_INPUTS[case]
    status, message = refusal(grpc_client, values)
    assert status == "INVALID_ARGUMENT" and words in message


@pytest.mark.parametrize("case", ["unknown input", "silence", "empty text"])
def test_wrong_inputs_of_a_stream_are_responses(grpc_client, case):
    values, words = WRONG_INPUTS[case]
    assert words in stream_error(grpc_client, values)


@pytest.mark.parametrize("parameters, words", [
    ({"seed": -1}, "seed"), ({"seed": 1.5}, "seed"), ({"seed": "1"}, "seed"),
    ({"seed": True}, "seed"), ({"top_k": -1}, "top_k"), ({"top_p": 0.0}, "top_p"),
    ({"temperature": -1.0}, "temperature"), ({"temperature": "hot"}, "temperature"),
    ({"temperature": float("nan")}, "temperature"), ({"max_new_tokens": 0}, "max_new_tokens"),
    ({"max_new_tokens": 1 << 40}, "max_new_tokens"), ({"voice": 1}, "voice"),
    ({"voice": "../../etc/passwd"}, "voice"), ({"gender": "x"}, "gender"),
    ({"pitch": "loud"}, "pitch"), ({"speed": True}, "speed"), ({"pitch": 120.0}, "pitch")])
def test_wrong_parameters(grpc_client, parameters, words):
    values = arrays()
    if "voice" in parameters or "gender" in parameters:
        values = {"target_text": values["target_text"]}
    status, message = refusal(grpc_client, values, parameters={"max_new_tokens": 9, **parameters})
    assert status == "INVALID_ARGUMENT" and words in message


@pytest.mark.parametrize("tokens, words", [
    ({"global_tokens": np.zeros((1, 31), np.int32)}, "31"),
    ({"global_tokens": np.full((1, 32), 4096, np.int32)}, "global_tokens"),
    ({"global_tokens": np.full((1, 32), -1, np.int32)}, "global_tokens"),
    ({"semantic_tokens": np.full((1, 9), 8192, np.int32)}, "semantic_tokens"),
    ({"semantic_tokens": np.full((1, 9), -1, np.int32)}, "semantic_tokens"),
    ({"semantic_tokens": np.array([[1, -1, 2]], np.int32)}, "semantic_tokens"),
    ({"semantic_tokens": np.zeros((1, 0), np.int32)}, "semantic_tokens"),
    ({"semantic_tokens": np.zeros((1, 3001), np.int32)}, "3001")])
def test_wrong_tokens(grpc_client, tokens, words):
    values = {"global_tokens": np.zeros((1, 32), np.int32),
              "semantic_tokens": np.zeros((1, 9), np.int32), **tokens}
    status, message = refusal(grpc_client, values, "vocoder")
    assert status == "INVALID_ARGUMENT" and words in message


def test_unknown_models_versions_and_outputs(grpc_client):
    assert refusal(grpc_client, arrays(), "f5_tts")[0] == "NOT_FOUND"
    assert refusal(grpc_client, arrays(), model_version="2")[0] == "NOT_FOUND"
    outputs = [client.InferRequestedOutput("audio")]
    status, message = refusal(grpc_client, arrays(), outputs=outputs)
    assert status == "INVALID_ARGUMENT" and "'audio'" in message
    for call in (grpc_client.get_model_metadata, grpc_client.get_model_config,
                 grpc_client.get_inference_statistics):
        with pytest.raises(InferenceServerException, match="NOT_FOUND"):
            call("f5_tts")


def test_shared_memory_is_refused(grpc_client):
    tensors = inputs(client, arrays())
    tensors[0].set_shared_memory("region", 128000)
    with pytest.raises(InferenceServerException, match=r"INVALID_ARGUMENT.*shared memory"):
        grpc_client.infer("spark_tts", tensors)
    outputs = [client.InferRequestedOutput("waveform")]
    outputs[0].set_shared_memory("region", 128000)
    status, message = refusal(grpc_client, arrays(), outputs=outputs)
    assert status == "INVALID_ARGUMENT" and "shared memory" in message


@pytest.mark.parametrize("method", UNSUPPORTED)
def test_other_calls_are_refused(stub, method):
    request = getattr(service_pb2, f"{method}Request")()
    with pytest.raises(grpc.RpcError) as caught:
        getattr(stub, method)(request, timeout=SECONDS)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert caught.value.details() == UNSUPPORTED[method]


@pytest.mark.parametrize("change", [
    lambda request: request.raw_input_contents.pop(),
    lambda request: request.raw_input_contents.append(b"more"),
    lambda request: request.inputs[0].contents.fp32_contents.append(1.0),
    lambda request: request.inputs[0].shape.__setitem__(1, 1 << 62),
    lambda request: request.inputs[0].shape.__setitem__(1, 7),
    lambda request: request.inputs[0].shape.__setitem__(1, -1),
    lambda request: request.raw_input_contents.__setitem__(3, b"\xff\xff\xff\xff"),
    lambda request: request.raw_input_contents.__delitem__(slice(None)),
    lambda request: request.inputs.append(request.inputs[3])])
def test_messages_that_contradict_themselves(stub, change):
    request = client._utils._get_inference_request(
        "spark_tts", inputs(client, arrays()), "", "1", None, 0, False, False, 0, None, SHORT)
    change(request)
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request, timeout=SECONDS)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("content", [b"", b"\xff", b"\x0a\x02\xff\xfe", bytes(100_000)])
def test_messages_that_are_none(kserve, content):
    with grpc.insecure_channel(f"127.0.0.1:{kserve.grpc_port}") as channel:
        path = "/inference.GRPCInferenceService/"
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(path + "ModelInfer")(content, timeout=SECONDS)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        call = channel.stream_stream(path + "ModelStreamInfer")
        [response] = call(iter([content]), timeout=SECONDS)
        error = service_pb2.ModelStreamInferResponse.FromString(response).error_message
        assert error == caught.value.details() and "ModelInferRequest" in error


def test_a_request_must_arrive_in_time(make_kserve):
    """One that does not come takes none of the places of others for long."""
    server = make_kserve(limits=Limits(body_seconds=0.5))
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")
        never = threading.Event()
        with pytest.raises(grpc.RpcError) as caught:
            call(iter(never.wait, None), timeout=SECONDS)
        never.set()
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "did not arrive in time" in caught.value.details()


def test_few_requests_are_received_at_a_time(make_kserve, monkeypatch):
    monkeypatch.setattr(kserve_grpc, "MAX_RECEIVED", 1)
    server = make_kserve(limits=Limits(body_seconds=20.0))
    never = threading.Event()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        call = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")
        first = call.future(iter(never.wait, None), timeout=SECONDS)
        time.sleep(0.5)                         # it has begun
        second = call.future(iter([b""]), timeout=SECONDS)
        time.sleep(0.5)
        assert not second.done()
        first.cancel()                          # makes room for the second
        assert "names no model" in second.exception(SECONDS).details()
    never.set()


def test_numbers_of_protobuf_do_not_stop_the_loop(kserve, grpc_client, stub):
    """With MindSpore, protobuf reads them in Python: 20 s take a second."""
    request = service_pb2.ModelInferRequest(model_name="spark_tts")
    tensor = request.inputs.add(name="reference_wav", datatype="FP32", shape=[1, 320_000])
    tensor.contents.fp32_contents.extend(reference(20.0).tolist())
    call = stub.ModelInfer.future(request, timeout=SECONDS)
    answered = 0
    while not call.done():
        assert grpc_client.is_server_live()
        answered += 1
    assert call.code() == grpc.StatusCode.INVALID_ARGUMENT and answered > 1


def test_a_minute_of_reference_passes(grpc_client):
    """More than 30 s cannot be continued, so that a transcript is left out."""
    samples = reference(60.0)
    for transcript in ("", "This was said."):
        waveform = infer(grpc_client, arrays(samples=samples, transcript=transcript))
        assert waveform.as_numpy("waveform").size
    wav = {"reference_wav": samples[np.newaxis], "reference_wav_len": np.array([[960_000]], "i4")}
    status, message = refusal(grpc_client, wav, "audio_tokenizer")
    assert status == "INVALID_ARGUMENT" and "60.0 s" in message


def test_messages_have_a_limit(grpc_client):
    values = arrays(samples=np.zeros(9 << 20, np.float32))
    status, message = refusal(grpc_client, values)
    assert status == "RESOURCE_EXHAUSTED" and "larger than max" in message
    assert "larger than max" in stream_error(grpc_client, values)


def test_statistics(make_kserve):
    server = make_kserve()
    with client.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as grpc_client:
        assert grpc_client.get_inference_statistics("spark_tts", as_json=True) == {
            "model_stats": [{"name": "spark_tts", "version": "1", "inference_stats": {
                name: {} for name in ("success", "fail", "queue", "compute_input", "compute_infer",
                                      "compute_output", "cache_hit", "cache_miss")}}]}
        text = {"target_text": np.array([["One."], ["Two."]], object)}
        infer(grpc_client, text, parameters=GENERATED)
        refusal(grpc_client, text, parameters={"voice": "nobody"})
        everything = grpc_client.get_inference_statistics(as_json=True)["model_stats"]
    assert [stats["name"] for stats in everything] == ["spark_tts", "audio_tokenizer", "vocoder"]
    stats = everything[0]
    assert stats["inference_count"] == "2" and stats["execution_count"] == "1"
    inference = stats["inference_stats"]
    assert inference["success"]["count"] == inference["fail"]["count"] == "1"
    total = int(inference["success"]["ns"])
    assert 0 < sum(int(inference[stage]["ns"]) for stage in (
        "queue", "compute_input", "compute_infer", "compute_output")) <= total + 4
    assert int(inference["compute_infer"]["ns"]) > total / 2
    assert [batch["batch_size"] for batch in stats["batch_stats"]] == ["2"]


def test_keys(make_kserve):
    server = make_kserve(api_keys=["a key"])
    text = {"target_text": arrays()["target_text"]}
    with client.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as grpc_client:
        assert grpc_client.is_server_live() and grpc_client.is_server_ready()
        wrong = [{}, {"authorization": "Bearer other"}, {"authorization": "a key"},
                 {"authorization": "Basic a key"}, {"authorization": "Bearer"}]
        for headers in wrong:
            status, _ = refusal(grpc_client, text, parameters=GENERATED, headers=headers)
            assert status == "UNAUTHENTICATED"
            with pytest.raises(InferenceServerException, match="UNAUTHENTICATED"):
                grpc_client.get_server_metadata(headers=headers)
        headers = {"authorization": "Bearer a key"}
        result = infer(grpc_client, text, parameters=GENERATED, headers=headers)
        assert result.as_numpy("waveform").size
        received = queue.Queue()
        grpc_client.start_stream(lambda result, error: received.put(error))
        assert "UNAUTHENTICATED" in str(received.get(timeout=SECONDS))
        grpc_client.stop_stream()


def test_a_server_that_drains(make_kserve):
    server = make_kserve()
    text = {"target_text": arrays()["target_text"]}
    with client.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as grpc_client:
        server.speech.refuse_requests()
        assert grpc_client.is_server_live() and not grpc_client.is_server_ready()
        assert not grpc_client.is_model_ready("spark_tts")
        assert refusal(grpc_client, text, parameters=GENERATED)[0] == "UNAVAILABLE"
        assert refusal(grpc_client, arrays())[0] == "UNAVAILABLE"
        tokens = {"global_tokens": np.zeros((1, 32), np.int32),
                  "semantic_tokens": np.zeros((1, 9), np.int32)}
        assert refusal(grpc_client, tokens, "vocoder")[0] == "UNAVAILABLE"
        assert "shutting down" in stream_error(grpc_client, arrays())
        index = grpc_client.get_model_repository_index(as_json=True)["models"]
        assert {model["state"] for model in index} == {"UNAVAILABLE"}


def test_what_runs_is_finished_while_a_server_drains(make_kserve):
    server = make_kserve()
    text = {"target_text": np.array([["This goes on. " * 10]], object)}
    with client.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as grpc_client:
        received = queue.Queue()
        grpc_client.start_stream(lambda result, error: received.put((result, error)))
        grpc_client.async_stream_infer("spark_tts", inputs(client, text), parameters=GENERATED,
                                       enable_empty_final_response=True)
        chunks = [received.get(timeout=SECONDS)]
        drain = threading.Thread(target=server.speech.drain)
        drain.start()
        assert wait_until(lambda: server.speech.state == "draining")
        assert refusal(grpc_client, text, parameters=GENERATED)[0] == "UNAVAILABLE"
        final = False
        while not final:
            result, error = received.get(timeout=SECONDS)
            assert error is None
            final = result.get_response().parameters["triton_final_response"].bool_param
            chunks.append(result)
        drain.join(SECONDS)
        assert not drain.is_alive() and len(chunks) > 2
        grpc_client.stop_stream()


def test_what_takes_too_long_is_told_when_a_server_ends(make_kserve):
    server = make_kserve()
    text = {"target_text": np.array([["This goes on and on. " * 40]], object)}
    with client.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as grpc_client:
        received = queue.Queue()
        grpc_client.start_stream(lambda result, error: received.put(error))
        grpc_client.async_stream_infer("spark_tts", inputs(client, text),
                                       parameters={"gender": "male", "seed": 1})
        assert received.get(timeout=SECONDS) is None
        server.speech.drain(0)
        errors = [None]
        while errors[-1] is None:
            errors.append(received.get(timeout=SECONDS))
        assert "shutting down" in str(errors[-1])
        grpc_client.stop_stream()


def test_a_full_queue(make_kserve, service):
    server = make_kserve(max_queue=0)
    rows = {"target_text": np.array([["Hello."]] * 16, object)}
    with client.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as grpc_client:
        grpc_client.start_stream(lambda result, error: None)
        slow = {"gender": "male", "seed": 1}
        text = {"target_text": np.array([["This goes on and on. " * 40]], object)}
        grpc_client.async_stream_infer("spark_tts", inputs(client, text), parameters=slow)
        assert wait_until(lambda: server.speech.num_requests > 0, SECONDS)
        assert refusal(grpc_client, rows, parameters=GENERATED)[0] == "RESOURCE_EXHAUSTED"
        grpc_client.stop_stream(cancel_requests=True)
        assert wait_until(lambda: server.speech.num_requests == 0, SECONDS)


def test_a_port_that_is_taken(kserve):
    async def serve():
        async with serve_grpc(Inference(kserve), "127.0.0.1", kserve.grpc_port):
            pass

    with pytest.raises(InputError, match=f"127.0.0.1.:{kserve.grpc_port}") as caught:
        asyncio.run(serve())
    assert caught.value.code == "port_unavailable"


class RefusedContext:
    """A call whose message is `content`, without a connection."""

    def __init__(self, content):
        self.content = content

    async def read(self):
        content, self.content = self.content, None
        return content

    def invocation_metadata(self):
        return ()

    def set_trailing_metadata(self, metadata):
        pass

    async def abort(self, code, message):
        raise grpc.aio.AbortError(f"{code.name}: {message}")


@pytest.mark.parametrize("max_bytes, status", [(10, "RESOURCE_EXHAUSTED"),
                                               (1 << 20, "INVALID_ARGUMENT")])
def test_a_refused_message_is_freed_at_once(kserve, max_bytes, status):
    """Not when the garbage collector runs: it does not know how large a message is."""
    freed = []

    class Content(bytes):
        def __del__(self):
            freed.append(len(self))

    inference = Inference(kserve)
    inference.memory.max_bytes = max_bytes

    async def refuse():
        content = Content(b"\xff" * 100)
        call = InferenceServicer(inference).ModelInfer(None, RefusedContext(content))
        del content
        with pytest.raises(grpc.aio.AbortError, match=status):
            await call

    gc.collect()
    gc.disable()
    try:
        asyncio.run(refuse())
        assert freed == [100]
    finally:
        gc.enable()


def test_an_ended_call_keeps_no_tensors(kserve):
    """gRPC keeps the errors that end calls for a while."""
    def num_messages():
        return sum(type(each) is service_pb2.ModelInferRequest for each in gc.get_objects())

    request = service_pb2.ModelInferRequest(model_name="spark_tts")     # without its inputs
    content = request.SerializeToString()
    ended = []

    async def fail():
        call = InferenceServicer(Inference(kserve)).ModelInfer(None, RefusedContext(content))
        with pytest.raises(grpc.aio.AbortError, match="INVALID_ARGUMENT") as caught:
            await call
        ended.append(caught.value)

    gc.collect()
    before = num_messages()
    gc.disable()
    try:
        asyncio.run(fail())
        assert ended and num_messages() == before
    finally:
        gc.enable()
