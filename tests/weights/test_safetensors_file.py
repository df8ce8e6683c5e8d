"""Safetensors files: mapped reading, streaming writing, and the library as the reference."""

import errno
import json
import os
import stat
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from sparktts_ms.errors import OutputError, WeightsError
from sparktts_ms.weights.safetensors_file import (
    DTYPES,
    SafetensorsFile,
    TensorInfo,
    write_safetensors,
)
from tests.helpers import examples

ARRAYS = {
    "matrix": np.arange(12, dtype=np.float32).reshape(3, 4),
    "half": np.array([1.5, -2], np.float16),
    "double": np.array([[0.1]]),
    "long": np.array([-1, 1 << 40]),
    "byte": np.array([0, 255], np.uint8),
    "flags": np.array([True, False, True]),
    "scalar": np.array(7, np.int32),
    "empty": np.zeros((0, 5), np.float32),
}


def write_raw(path, header, data=b""):
    """A file with this header (bytes, or a dict for JSON) and these bytes after it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def write_arrays(path, arrays, **options):
    """Write arrays with write_safetensors."""
    widened = ("BF16", "F8_E4M3", "F8_E5M2")
    names = {dtype: name for name, dtype in DTYPES.items() if name not in widened}
    tensors = []
    for name, array in arrays.items():
        tensors.append((name, TensorInfo(names[array.dtype], array.shape)))
    write_safetensors(path, tensors, lambda name: arrays[name].tobytes(), **options)
    return path


# Reading

def test_read_what_library_wrote(tmp_path):
    save_file(ARRAYS, tmp_path / "w.safetensors", {"format": "np", "by": "the library"})
    weights = SafetensorsFile(tmp_path / "w.safetensors")
    assert weights.metadata == {"format": "np", "by": "the library"}
    assert weights.info.keys() == ARRAYS.keys()
    assert weights.info["half"] == TensorInfo("F16", (2,))
    for name, array in ARRAYS.items():
        assert (weights.read(name).dtype, weights.read(name).shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(weights.read(name), array)
        assert bytes(weights.read_bytes(name)) == array.tobytes()


def test_bfloat16_is_widened_exactly(tmp_path):
    bits = np.arange(1 << 16, dtype="<u2")
    header = {"w": entry("BF16", (256, 256), (0, bits.nbytes))}
    weights = SafetensorsFile(write_raw(tmp_path / "w", header, bits.tobytes()))
    wide = weights.read("w")
    assert weights.info["w"].dtype == "BF16" and bytes(weights.read_bytes("w")) == bits.tobytes()
    assert (wide.dtype, wide.shape) == (np.float32, (256, 256))
    np.testing.assert_array_equal(wide.view(np.uint32).reshape(-1), bits.astype(np.uint32) << 16)


def test_float8_is_widened_exactly(tmp_path):
    bits = np.arange(1 << 8, dtype=np.uint8)
    header = {"w": entry("F8_E5M2", (16, 16), (0, bits.nbytes))}
    weights = SafetensorsFile(write_raw(tmp_path / "w", header, bits.tobytes()))
    sign = 1 - 2.0 * (bits >> 7)
    exponent = (bits >> 2 & 31).astype(int)
    mantissa = bits & 3
    normal = 2.0 ** (exponent - 15) * (1 + mantissa / 4)
    expected = sign * np.where(exponent > 0, normal, 2.0**-14 * mantissa / 4)
    special = np.where(mantissa > 0, np.nan, sign * np.inf)
    expected[exponent == 31] = special[exponent == 31]
    wide = weights.read("w")
    assert weights.info["w"].dtype == "F8_E5M2" and bytes(weights.read_bytes("w")) == bits.tobytes()
    assert (wide.dtype, wide.shape) == (np.float16, (16, 16))
    np.testing.assert_array_equal(wide.reshape(-1), expected)


def test_float8_e4m3_is_widened_exactly(tmp_path):
    """The 8-bit format without infinities of arXiv 2209.05433, table 1: bias 7, largest 448."""
    bits = np.arange(1 << 8, dtype=np.uint8)
    header = {"w": entry("F8_E4M3", (16, 16), (0, bits.nbytes))}
    weights = SafetensorsFile(write_raw(tmp_path / "w", header, bits.tobytes()))
    wide = weights.read("w")
    assert weights.info["w"].dtype == "F8_E4M3" and bytes(weights.read_bytes("w")) == bits.tobytes()
    assert (wide.dtype, wide.shape) == (np.float16, (16, 16))
    values = wide.reshape(-1)
    assert np.nanmax(values) == 448 and np.nanmin(values) == -448
    assert np.isnan(values[[0x7F, 0xFF]]).all() and np.isnan(values).sum() == 2
    for code, value in {0x00: 0.0, 0x01: 2.0**-9, 0x07: 7 * 2.0**-9, 0x08: 2.0**-6, 0x38: 1.0,
                        0x39: 1.125, 0x40: 2.0, 0x7E: 448.0, 0xB8: -1.0}.items():
        assert values[code] == value
    positive = values[:0x7F]
    assert (np.diff(positive) > 0).all()
    np.testing.assert_array_equal(values[0x80:0xFF], -positive)


@pytest.mark.parametrize("dtype, shape, size", [
    ("F8_E8M0", (2,), 2), ("F4", (2,), 1), ("F6_E2M3", (4,), 3), ("F6_E3M2", (4,), 3),
    ("C64", (2,), 16)])
def test_dtype_that_is_not_supported_is_named(tmp_path, dtype, shape, size):
    path = write_raw(tmp_path / "w", {"w": entry(dtype, shape, (0, size))}, bytes(size))
    with pytest.raises(WeightsError, match=f"'w' of dtype {dtype}, which is not supp.*bfloat16"):
        SafetensorsFile(path)


def test_arrays_are_read_only_views(tmp_path):
    array = SafetensorsFile(write_arrays(tmp_path / "w", ARRAYS)).read("matrix")
    assert not array.flags.writeable and not array.flags.owndata
    np.testing.assert_array_equal(array, ARRAYS["matrix"])


def test_unaligned_tensor(tmp_path):
    data = b"\1" + ARRAYS["matrix"].tobytes()
    header = {"b": entry("U8", (1,), (0, 1)), "w": entry("F32", (3, 4), (1, 49))}
    weights = SafetensorsFile(write_raw(tmp_path / "w", header, data))
    assert weights.read("w").flags.aligned
    np.testing.assert_array_equal(weights.read("w"), ARRAYS["matrix"])


def test_missing_tensor_is_named(tmp_path):
    weights = SafetensorsFile(write_arrays(tmp_path / "w", ARRAYS))
    for read in (weights.read, weights.read_bytes):
        with pytest.raises(WeightsError, match="bias"):
            read("bias")


HOSTILE = {
    "no header": (b"", b""),
    "not JSON": (b"{nonsense}", b""),
    "list": (b"[]      ", b""),
    "not UTF-8": (b'{"\xff": 1}', b""),
    "nested deeply": (b'{"a":' + b"[" * 200_000, b""),
    "number of a million digits": (b'{"a":{"shape":[' + b"9" * 1_000_000 + b"]}}", b""),
    "duplicate name": (b'{"w":1,"w":2}', b""),
    "metadata not strings": ({"__metadata__": {"a": 1}}, b""),
    "entry without offsets": ({"w": {"dtype": "F32", "shape": [2]}}, bytes(8)),
    "unknown dtype": ({"w": entry("F7")}, bytes(8)),
    "dtype not supported": ({"w": entry("F8_E8M0", offsets=(0, 2))}, bytes(2)),
    "shape not a list": ({"w": {**entry(), "shape": 2}}, bytes(8)),
    "negative sizes": ({"w": entry(shape=(-1, -2))}, bytes(8)),
    "overflowing sizes": ({"w": entry(shape=(1 << 62, 4), offsets=(0, 0))}, b""),
    "huge but empty": ({"w": entry(shape=(0, 1 << 61), offsets=(0, 0))}, b""),
    "size not an integer": ({"w": entry("F32", (2.0,))}, bytes(8)),
    "too many axes": ({"w": entry("F32", (1,) * 65, (0, 4))}, bytes(4)),
    "range of another size": ({"w": entry(offsets=(0, 4))}, bytes(8)),
    "offsets backwards": ({"w": entry(offsets=(8, 0))}, bytes(8)),
    "beyond the end": ({"w": entry()}, bytes(7)),
    "trailing bytes": ({"w": entry()}, bytes(9)),
    "overlap": ({"v": entry(), "w": entry(offsets=(4, 12))}, bytes(12)),
    "gap": ({"v": entry(), "w": entry(offsets=(12, 20))}, bytes(20)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_header_is_refused(tmp_path, what):
    path = write_raw(tmp_path / "w.safetensors", *HOSTILE[what])
    with pytest.raises(WeightsError, match=r"w\.safetensors") as caught:
        SafetensorsFile(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_header_size_is_not_trusted(tmp_path):
    (tmp_path / "w").write_bytes(struct.pack("<Q", 1 << 63) + b"{}")
    tracemalloc.start()
    with pytest.raises(WeightsError):
        SafetensorsFile(tmp_path / "w")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_truncated_file_is_refused(tmp_path):
    content = write_arrays(tmp_path / "w", ARRAYS).read_bytes()
    for length in range(len(content)):
        (tmp_path / "w").write_bytes(content[:length])
        with pytest.raises(WeightsError):
            SafetensorsFile(tmp_path / "w")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return write_arrays(tmp_path_factory.mktemp("damaged") / "w", ARRAYS)


@settings(max_examples=examples(300))
@given(data=st.data())
def test_flipped_bytes_give_error_or_stated_shape(sound, data):
    damaged = bytearray(sound.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = sound.with_name("damaged")
    path.write_bytes(damaged)
    try:
        weights = SafetensorsFile(path)
        for name, info in weights.info.items():
            assert weights.read(name).shape == info.shape
            assert len(weights.read_bytes(name)) == info.nbytes
    except WeightsError as error:
        assert "\n" not in str(error)


# Writing

def test_library_reads_what_was_written(tmp_path):
    path = write_arrays(tmp_path / "w.safetensors", ARRAYS)
    with safe_open(path, "np") as library:
        assert library.metadata() == {"format": "pt"}
        assert set(library.keys()) == ARRAYS.keys()
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(library.get_tensor(name), array)


def test_tensors_are_aligned(tmp_path):
    content = write_arrays(tmp_path / "w", dict(reversed(ARRAYS.items()))).read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    assert length % 8 == 0
    header = json.loads(content[8:8 + length])
    for name, array in ARRAYS.items():
        assert header[name]["data_offsets"][0] % array.itemsize == 0


def test_writing_needs_memory_of_one_tensor(tmp_path):
    size = 4 << 20
    tensors = [(f"w{i}", TensorInfo("F32", (1 << 20,))) for i in range(8)]
    tracemalloc.start()
    write_safetensors(tmp_path / "w", tensors, lambda name: bytes([int(name[1])]) * size)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * size
    weights = SafetensorsFile(tmp_path / "w")
    assert all(bytes(weights.read_bytes(f"w{i}")) == bytes([i]) * size for i in range(8))


def test_file_mode_follows_umask(tmp_path):
    before = os.umask(0o027)
    try:
        path = write_arrays(tmp_path / "w", ARRAYS)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [KeyboardInterrupt(), WeightsError("damaged"), MemoryError()])
@pytest.mark.parametrize("before", [None, b"content"])
def test_failed_write_changes_nothing(tmp_path, error, before):
    path = tmp_path / "w"
    if before:
        path.write_bytes(before)

    def read_bytes(name):
        if name == "byte":
            raise error
        return ARRAYS[name].tobytes()

    tensors = [("matrix", TensorInfo("F32", (3, 4))), ("byte", TensorInfo("U8", (2,)))]
    with pytest.raises(type(error)):
        write_safetensors(path, tensors, read_bytes)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([before] if before else [])


def test_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        write_arrays(tmp_path / "w", ARRAYS)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_unwritable_path_is_named(tmp_path):
    with pytest.raises(OutputError, match=tmp_path.name):
        write_arrays(tmp_path, ARRAYS)


def test_failed_verification_leaves_nothing(tmp_path):
    def verify(path):
        assert SafetensorsFile(path).info.keys() == ARRAYS.keys()
        raise WeightsError("not what was wanted")

    with pytest.raises(WeightsError, match="wanted"):
        write_arrays(tmp_path / "w", ARRAYS, verify=verify)
    assert not list(tmp_path.iterdir())
