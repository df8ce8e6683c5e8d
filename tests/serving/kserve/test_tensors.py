"""Data of tensors, from binary and from lists; what a message claims is not believed."""

import numpy as np
import pytest
from tritonclient.utils import serialize_byte_tensor

from sparktts_ms.errors import InputError
from sparktts_ms.serving.kserve.tensors import (
    TensorSpec,
    from_bytes,
    from_elements,
    from_lists,
    pad_rows,
    text,
    to_bytes,
)

WAV = TensorSpec("wav", "FP32", (-1,))
LENGTH = TensorSpec("length", "INT32", (1,))
TEXT = TensorSpec("text", "BYTES", (1,))


def refusal(function, *arguments):
    with pytest.raises(InputError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_binary_numbers():
    array = from_bytes(WAV, (2, 3), np.arange(6, dtype="<f4").tobytes())
    np.testing.assert_array_equal(array, [[0, 1, 2], [3, 4, 5]])
    assert array.dtype == np.float32


@pytest.mark.parametrize("shape", [(1, 7), (1, 5), (1, 0), (16, 1 << 60)])
def test_binary_data_of_another_size(shape):
    assert "24 bytes" in refusal(from_bytes, WAV, shape, bytes(24))


@pytest.mark.parametrize("strings", [["a"], ["", "这是"], ["x" * 70000, "b", "c"]])
def test_binary_strings_as_the_client_writes_them(strings):
    elements = np.array([string.encode() for string in strings], object).reshape(-1, 1)
    data = serialize_byte_tensor(elements).item()
    array = from_bytes(TEXT, elements.shape, data)
    assert [text(TEXT, element) for element in array[:, 0]] == strings


@pytest.mark.parametrize("data", [
    b"", b"\1", b"\1\0\0\0", b"\2\0\0\0a", b"\1\0\0\0ab", b"\xff\xff\xff\xffa",
    b"\1\0\0\0a\1\0\0\0b"])
def test_damaged_binary_strings(data):
    assert "text" in refusal(from_bytes, TEXT, (1, 1), data)


def test_text_that_is_no_utf8():
    assert "UTF-8" in refusal(text, TEXT, b"\xff\xfe")


@pytest.mark.parametrize("values", [[[1, 2.5]], [1, 2.5]])
def test_lists_flat_and_nested(values):
    np.testing.assert_array_equal(from_lists(WAV, (1, 2), values), [[1, 2.5]])


def test_lists_of_strings_flat_and_nested():
    for values in (["a", "é"], [["a"], ["é"]]):
        assert from_lists(TEXT, (2, 1), values).tolist() == [[b"a"], ["é".encode()]]


@pytest.mark.parametrize("values", [
    None, 1, "1", {}, [], [1], [1, 2, 3], [[1, 2], [3]], [[1], [2]], [[[1, 2]]], [1, [2]], [[1], 2],
    ["1", "2"], [1, None], [True, False], [1, {}], [1.0, float("nan")], [1.0, float("inf")],
    [1.0, 1e39], [1, 10**400]])
def test_lists_that_are_no_tensor_of_numbers(values):
    assert "wav" in refusal(from_lists, WAV, (1, 2), values)


@pytest.mark.parametrize("values", [[1.0], [True], ["1"], [1 << 31], [-(1 << 63)], [1 << 70]])
def test_lists_that_are_no_whole_numbers(values):
    assert "length" in refusal(from_lists, LENGTH, (1, 1), values)


@pytest.mark.parametrize("values", [[1], [None], [["a", "b"]], ["a", "b"], ["\ud800"], [[["a"]]]])
def test_lists_that_are_no_strings(values):
    assert "text" in refusal(from_lists, TEXT, (1, 1), values)


def test_one_long_string_among_numbers_takes_no_memory():
    """NumPy alone would make an array of strings of that length."""
    values = ["x" * (1 << 20)] + ["1"] * (1 << 20)
    assert "numbers" in refusal(from_lists, WAV, (1, len(values)), values)


def test_elements():
    np.testing.assert_array_equal(from_elements(WAV, (1, 2), [1.0, 2.0]), [[1, 2]])
    assert from_elements(TEXT, (1, 1), [b"a"]).tolist() == [[b"a"]]
    assert "3 elements" in refusal(from_elements, WAV, (1, 2), [1.0, 2.0, 3.0])


@pytest.mark.parametrize("shape", [
    None, [], [1], [1, 1, 1], [1, -1], [-1, 1], [1.0, 2], ["1", 2], [True, 2], "11", {}])
def test_shapes_that_a_tensor_cannot_have(shape):
    assert "wav" in refusal(WAV.check, "FP32", shape)


def test_batch_and_fixed_dimensions():
    assert WAV.check("FP32", [16, 0]) == (16, 0)
    assert "batch of 17" in refusal(WAV.check, "FP32", [17, 1])
    assert "batch of 0" in refusal(WAV.check, "FP32", [0, 1])
    assert "[batch, 1]" in refusal(LENGTH.check, "INT32", [1, 2])


@pytest.mark.parametrize("datatype", [None, "FP64", "fp32", 1, "x" * 1000])
def test_other_data_types(datatype):
    assert "FP32" in refusal(WAV.check, datatype, [1, 1])


def test_written_data_is_little_endian():
    assert to_bytes(np.array([[1, 256]], np.int32)) == b"\1\0\0\0\0\1\0\0"


def test_rows_are_filled_up():
    rows = [np.array([1, 2], np.int32), np.array([3], np.int32)]
    np.testing.assert_array_equal(pad_rows(rows, -1), [[1, 2], [3, -1]])
