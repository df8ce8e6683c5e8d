"""Messages that are damaged anywhere are refused with an InputError, or are still requests."""

import json
from contextlib import suppress

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from sparktts_ms.errors import InputError
from sparktts_ms.serving.kserve import grpc, http_body
from sparktts_ms.serving.kserve.models import MODELS

VOCODER = MODELS["vocoder"]
TOKENS = {"global_tokens": np.arange(32, dtype=np.int32).reshape(1, 32),
          "semantic_tokens": np.arange(9, dtype=np.int32).reshape(1, 9)}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner,
                                                                max_size=4), max_leaves=9)
edits = st.lists(st.tuples(st.floats(0, 0.999), st.binary(max_size=3)), max_size=4)


def damage(content, changes):
    """Bytes with some of them replaced, at these parts of their length."""
    content = bytearray(content)
    for place, replacement in changes:
        start = int(place * len(content))
        content[start:start + len(replacement) or start + 1] = replacement
    return bytes(content)


def check(request):
    """What has been parsed has the shapes of the model."""
    for name, array in request.inputs.items():
        assert array.ndim == 2 and array.dtype == np.int32, name
        assert len(array) == request.batch <= 16


def body_with(names, value):
    """A body of which one field, at this path, has another value."""
    tensors = [{"name": name, "datatype": "INT32", "shape": list(array.shape),
                "data": array.tolist(), "parameters": {}} for name, array in TOKENS.items()]
    body = {"inputs": tensors, "outputs": [{"name": "waveform"}], "id": "1", "parameters": {}}
    *path, last = names
    target = body
    for name in path:
        target = target[name]
    target[last] = value
    return json.dumps(body).encode()


@given(st.sampled_from([
    ("inputs",), ("outputs",), ("id",), ("parameters",), ("inputs", 0), ("inputs", 0, "name"),
    ("inputs", 0, "datatype"), ("inputs", 1, "shape"), ("inputs", 1, "data"),
    ("inputs", 1, "parameters"), ("inputs", 1, "parameters", "binary_data_size"),
    ("outputs", 0), ("outputs", 0, "name"), ("outputs", 0, "parameters")]), values)
def test_other_values_in_json(names, value):
    with suppress(InputError):
        check(http_body.parse_request(VOCODER, body_with(names, value)))


@given(edits, st.one_of(st.just(""), st.integers(-9, 999).map(str)))
def test_damaged_bodies(changes, header_length):
    body = damage(body_with(("id",), "1"), changes)
    with suppress(InputError):
        check(http_body.parse_request(VOCODER, body, header_length))


@given(edits)
def test_damaged_grpc_messages(changes):
    message = service_pb2.ModelInferRequest(model_name="vocoder", id="1")
    message.parameters["seed"].int64_param = 1
    for name, array in TOKENS.items():
        message.inputs.add(name=name, datatype="INT32", shape=array.shape)
        message.raw_input_contents.append(array.tobytes())
    content = damage(message.SerializeToString(), changes)
    damaged = grpc.read_message(content)
    with suppress(InputError):
        check(grpc.parse_request(VOCODER, damaged))
