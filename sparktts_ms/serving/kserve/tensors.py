"""Tensors of the KServe V2 protocol: their specifications, and reading and writing their data.

Source: kserve.github.io, "Open Inference Protocol"; Triton's "binary tensor data" extension.
What a message claims of a tensor is checked against what it holds before memory is taken for it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparktts_ms.errors import InputError, quoted

MAX_BATCH = 16
BYTES = "BYTES"
DTYPES = {"FP32": np.dtype("<f4"), "INT32": np.dtype("<i4"), BYTES: np.dtype(object)}
LIMITS = {"FP32": (np.finfo(np.float32).min, np.finfo(np.float32).max),
          "INT32": (np.iinfo(np.int32).min, np.iinfo(np.int32).max)}
JSON_TYPES = {"FP32": (float, int), "INT32": (int,), BYTES: (str,)}
KINDS = {"FP32": "numbers", "INT32": "whole numbers", BYTES: "strings"}
LENGTH = struct.Struct("<I")        # before each element of a binary tensor of BYTES


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of a model. datatype: a key of DTYPES. dims: without the batch's; -1 is any size."""

    name: str
    datatype: str
    dims: tuple[int, ...]

    @property
    def shape(self) -> list[int]:
        """With the batch's dimension, as in a model's metadata."""
        return [-1, *self.dims]

    def check(self, datatype: Any, shape: Any) -> tuple[int, ...]:
        """The shape as a tuple. Raises InputError for another data type, or a shape that the tensor
        cannot have."""
        if datatype != self.datatype:
            raise tensor_error(f"{self.name} has the data type {quoted(datatype)}; it must be "
                               f"{self.datatype}.")
        valid = isinstance(shape, (list, tuple)) and len(shape) == 1 + len(self.dims)
        if valid:
            for size, wanted in zip(shape, (-1, *self.dims), strict=True):
                valid &= type(size) is int and (size >= 0 if wanted == -1 else size == wanted)
        if not valid:
            wanted_shape = ", ".join("any" if size == -1 else str(size) for size in self.dims)
            raise tensor_error(f"{self.name} has the shape {quoted(shape)}; it must be [batch, "
                               f"{wanted_shape}].")
        if not 1 <= shape[0] <= MAX_BATCH:
            raise tensor_error(f"{self.name} holds a batch of {quoted(shape[0])}; it must be 1 to "
                               f"{MAX_BATCH}.")
        return tuple(shape)


def tensor_error(problem: str, hint: str = "") -> InputError:
    return InputError(problem, hint, code="invalid_tensor")


def from_bytes(spec: TensorSpec, shape: tuple[int, ...], data: bytes | memoryview) -> np.ndarray:
    """The array [*shape] of binary data: little-endian, row by row; of BYTES, each element follows
    its length. Raises InputError where the data does not have the size that the shape says."""
    count = math.prod(shape)
    if spec.datatype == BYTES:
        return _object_array(_split_elements(spec, bytes(data), count), shape)
    dtype = DTYPES[spec.datatype]
    if len(data) != count * dtype.itemsize:
        raise tensor_error(f"{spec.name} has {len(data)} bytes of data; its shape {list(shape)} "
                           f"needs {count * dtype.itemsize}.")
    return np.frombuffer(data, dtype).reshape(shape)


def from_lists(spec: TensorSpec, shape: tuple[int, ...], values: Any) -> np.ndarray:
    """The array [*shape] of numbers or strings in lists as JSON has them, flat or nested as the
    shape. Strings become bytes, in UTF-8. Raises InputError."""
    elements = _flatten(spec, shape, values)
    if spec.datatype == BYTES:
        return _object_array([_encode(spec, element) for element in elements], shape)
    dtype = DTYPES[spec.datatype]
    try:
        array = np.array(elements, np.int64 if dtype.kind == "i" else np.float64)
    except OverflowError:
        array = np.array([np.inf])
    low, high = LIMITS[spec.datatype]
    # Written so that NaN, which JSON as Python reads it may hold, is refused as well.
    if array.size and not (low <= array.min() and array.max() <= high):
        raise tensor_error(f"{spec.name} holds NaN, infinity or numbers beyond {spec.datatype}.")
    return array.astype(dtype).reshape(shape)


def from_elements(spec: TensorSpec, shape: tuple[int, ...], elements: Sequence) -> np.ndarray:
    """The array [*shape] of elements that already have the data type. Raises InputError where there
    are more or fewer."""
    if len(elements) != math.prod(shape):
        raise tensor_error(f"{spec.name} has {len(elements)} elements of {spec.datatype}; its "
                           f"shape {list(shape)} needs {math.prod(shape)}.")
    if spec.datatype == BYTES:
        return _object_array(list(elements), shape)
    return np.array(elements, DTYPES[spec.datatype]).reshape(shape)


def to_bytes(array: np.ndarray) -> bytes:
    """The binary data of an array of numbers."""
    return np.ascontiguousarray(array).tobytes()


def text(spec: TensorSpec, element: bytes) -> str:
    """An element of a tensor of BYTES as text. Raises InputError if it is not UTF-8."""
    try:
        return element.decode("utf-8")
    except UnicodeDecodeError:
        raise tensor_error(f"{spec.name} is not valid UTF-8.", "Send text in UTF-8.") from None


def pad_rows(rows: Sequence[np.ndarray], value: float) -> np.ndarray:
    """Rows [N] of different lengths as one array [B, longest], filled up with a value."""
    longest = max(len(row) for row in rows)
    padded = np.full((len(rows), longest), value, rows[0].dtype)
    for n, row in enumerate(rows):
        padded[n, :len(row)] = row
    return padded


def _split_elements(spec: TensorSpec, data: bytes, count: int) -> list[bytes]:
    elements: list[bytes] = []
    position = 0
    while position + LENGTH.size <= len(data) and len(elements) < count:
        start = position + LENGTH.size
        position = start + LENGTH.unpack_from(data, position)[0]
        elements.append(data[start:position])
    if position != len(data) or len(elements) != count:
        raise tensor_error(f"{spec.name} must hold {count} strings, each after its length in 4 "
                           f"bytes; its {len(data)} bytes of data hold something else.")
    return elements


def _flatten(spec: TensorSpec, shape: tuple[int, ...], values: Any) -> list:
    """The elements of lists, flat or nested as the shape, as a flat list of what JSON calls them.
    They are looked at before an array is made: one of strings of any length may be very large."""
    error = tensor_error(
        f"The data of {spec.name} must be a list of {KINDS[spec.datatype]}, flat or nested as its "
        f"shape {list(shape)}.")
    if not isinstance(values, list):
        raise error
    if values and isinstance(values[0], list):
        for size in shape[:-1]:
            if len(values) != size or set(map(type, values)) - {list}:
                raise error
            values = [element for row in values for element in row]
    if len(values) != math.prod(shape) or set(map(type, values)) - set(JSON_TYPES[spec.datatype]):
        raise error
    return values


def _encode(spec: TensorSpec, element: str) -> bytes:
    try:
        return element.encode("utf-8")
    except UnicodeEncodeError:              # half of a surrogate pair
        raise tensor_error(f"{spec.name} is not valid Unicode text.") from None


def _object_array(elements: list[bytes], shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(len(elements), object)
    array[:] = elements
    return array.reshape(shape)
