"""Bodies of HTTP: JSON, Triton's binary tensor extension, and compression.

With the header Inference-Header-Content-Length a body is JSON of that many bytes, and after it the
data of the tensors that have a `binary_data_size`, in their order.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from sparktts_ms.errors import InputError, quoted
from sparktts_ms.serving.kserve import json_numbers
from sparktts_ms.serving.kserve.models import (
    VERSION,
    InferRequest,
    ModelSpec,
    Parameter,
    check_tensor_parameters,
    make_request,
)
from sparktts_ms.serving.kserve.tensors import from_bytes, from_lists, tensor_error, to_bytes

ZLIB_FORMATS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
NOT_ACCEPTED = re.compile(r"q=0(\.0*)?")
MAX_OBJECTS = 400_000       # beginnings of objects and lists, and such characters in texts
MAX_VALUES = 3_000_000      # numbers: of three minutes of sound
COMPRESSION_LEVEL = 1       # samples hardly become smaller with more


def body_error(problem: str, hint: str = "") -> InputError:
    return InputError(problem, hint, code="invalid_body")


def too_large(limit: int) -> InputError:
    return InputError(f"The request is larger than {limit >> 20} MB.", "Cut the reference, or send "
                      "fewer rows at once.", code="too_large")


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The body as it was before the Content-Encoding. Raises InputError for an unknown one, damaged
    data, and more than `limit` bytes ("too_large")."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ZLIB_FORMATS:
        raise body_error(f"The Content-Encoding {quoted(encoding)} is unknown.",
                         "Use gzip, deflate or none.")
    stream = zlib.decompressobj(ZLIB_FORMATS[encoding])
    try:
        content = stream.decompress(body, limit + 1)
    except zlib.error:
        raise body_error(f"The body is not valid {encoding} data.") from None
    if len(content) > limit:
        raise too_large(limit)
    if not stream.eof:
        raise body_error(f"The body's {encoding} data is not complete.")
    return content


def compress(body: bytes, accepted: str) -> tuple[bytes, str]:
    """The body in an encoding of an Accept-Encoding header, and that encoding; "" is none."""
    for part in accepted.lower().split(","):
        name, _, quality = part.strip().partition(";")
        if NOT_ACCEPTED.fullmatch(quality.strip()):
            continue
        if name == "gzip":
            return gzip.compress(body, COMPRESSION_LEVEL, mtime=0), name
        if name == "deflate":
            return zlib.compress(body, COMPRESSION_LEVEL), name
    return body, ""


def parse_request(model: ModelSpec, body: bytes, header_length: str = "",
                  request_id: str = "") -> InferRequest:
    """The request of a body. header_length: of Inference-Header-Content-Length, where the request
    has it. request_id: where the body has none. Raises InputError."""
    size = len(body)
    if header_length:
        size = int(header_length[:20]) if header_length.isdecimal() else -1
        if not 0 <= size <= len(body):
            raise body_error("Inference-Header-Content-Length is "
                             f"{quoted(header_length)}; the body has {len(body)} bytes.")
    fields = parse_object(body[:size])
    binary = memoryview(body)[size:]
    inputs = []
    for tensor in _objects(fields, "inputs"):
        name, array, used = _parse_input(model, tensor, binary)
        inputs.append((name, array))
        binary = binary[used:]
    if binary:
        raise body_error(f"The body has {len(binary)} bytes more than its inputs declare.")
    parameters = _parameters(fields)
    names, binary_names = _parse_outputs(model, fields, parameters)
    return make_request(model, _string(fields, "id", request_id), inputs, names, parameters,
                        binary_names)


def encode_response(request: InferRequest, outputs: Mapping[str, np.ndarray]) -> tuple[bytes, int]:
    """The body of a response, and the length of its JSON where data follows; else 0."""
    tensors = []
    data = []
    for name in request.outputs:
        array = outputs[name]
        spec = request.model.output(name)
        tensor: dict[str, Any] = {"name": name, "datatype": spec.datatype,
                                  "shape": list(array.shape)}
        if name in request.binary:
            data.append(to_bytes(array))
            tensor["parameters"] = {"binary_data_size": len(data[-1])}
            tensors.append(json.dumps(tensor))
        else:
            numbers = json_numbers.dump_numbers(array)
            tensors.append(f'{json.dumps(tensor)[:-1]}, "data": {numbers}}}')
    fields = {"model_name": request.model.name, "model_version": VERSION}
    if request.id:
        fields["id"] = request.id
    header = f'{json.dumps(fields)[:-1]}, "outputs": [{", ".join(tensors)}]}}'.encode()
    return b"".join([header, *data]), len(header) if request.binary else 0


def parse_object(body: bytes) -> dict[str, Any]:
    """A body's JSON object. Raises InputError for anything else."""
    if sum(map(body.count, (b"{", b"[", b":"))) > MAX_OBJECTS or body.count(b",") > MAX_VALUES:
        raise body_error("The body has too many values.", "Send the data of tensors in binary.")
    try:
        fields = json_numbers.loads(body)
    except (ValueError, RecursionError):
        raise body_error("The body is not valid JSON.") from None
    if not isinstance(fields, dict):
        raise body_error("The body is not a JSON object.")
    return fields


def _parse_input(model: ModelSpec, tensor: dict[str, Any],
                 binary: memoryview) -> tuple[str, np.ndarray, int]:
    """Name and array of an input, and how many bytes of the binary data are its."""
    spec = model.input(tensor.get("name"))
    parameters = _parameters(tensor)
    check_tensor_parameters(spec.name, parameters)
    shape = spec.check(tensor.get("datatype"), tensor.get("shape"))
    size = parameters.get("binary_data_size")
    if size is None and "data" not in tensor:
        raise tensor_error(f"{spec.name} has no data.")
    if size is None:
        return spec.name, from_lists(spec, shape, tensor["data"]), 0
    if type(size) is not int or not 0 <= size <= len(binary):
        raise tensor_error(f"{spec.name} declares {quoted(size)} bytes of binary data; "
                           f"{len(binary)} follow.")
    return spec.name, from_bytes(spec, shape, binary[:size]), size


def _parse_outputs(model: ModelSpec, fields: dict[str, Any],
                   parameters: Mapping[str, Parameter]) -> tuple[list[str], list[str]]:
    """Names of the outputs that were asked for, and of those that are to be binary."""
    default = parameters.get("binary_data_output", False)
    requested = _objects(fields, "outputs") if fields.get("outputs") is not None else []
    if not requested:
        return [], [spec.name for spec in model.outputs] if default is True else []
    binary = []
    for tensor in requested:
        spec = model.output(tensor.get("name"))
        options = _parameters(tensor)
        check_tensor_parameters(spec.name, options)
        if options.get("binary_data", default) is True:
            binary.append(spec.name)
    return [tensor["name"] for tensor in requested], binary


def _objects(fields: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = fields.get(name)
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise body_error(f"{name} must be a list of tensors.")
    return value


def _parameters(fields: dict[str, Any]) -> dict[str, Parameter]:
    value = fields.get("parameters")
    if value is None:
        return {}
    simple = isinstance(value, dict) and all(
        isinstance(entry, bool | int | float | str) for entry in value.values())
    if not simple:
        raise body_error("parameters must be an object of strings, numbers and booleans.")
    return value


def _string(fields: dict[str, Any], name: str, default: str) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise body_error(f"{name} is {quoted(value)}; it must be a string.")
    return value
