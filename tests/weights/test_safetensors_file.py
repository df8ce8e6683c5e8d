"""Safetensors files: read lazily and warily, written whole or not at all, and understood by the library itself."""

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
from sparktts_ms.weights.safetensors_file import DTYPES, SafetensorsFile, TensorInfo, write_safetensors

ARRAYS = {
    "matrix": np.arange(12, dtype=np.float32).reshape(3, 4), "half": np.array([1.5, -2], np.float16),
    "double": np.array([[0.1]]), "long": np.array([-1, 1 << 40]), "byte": np.array([0, 255], np.uint8),
    "flags": np.array([True, False, True]), "scalar": np.array(7, np.int32), "empty": np.zeros((0, 5), np.float32),
}


def file_of(path, header, data=b""):
    """A file with this header (text, or a table) and these bytes after it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def written(path, arrays, **options):
    """Write arrays with write_safetensors; their dtypes are looked up in its own table."""
    names = {dtype: name for name, dtype in DTYPES.items() if name not in ("BF16", "F8_E5M2")}
    tensors = [(name, TensorInfo(names[array.dtype], array.shape)) for name, array in arrays.items()]
    write_safetensors(path, tensors, lambda name: arrays[name].tobytes(), **options)
    return path


# Reading

def test_what_the_library_wrote_is_read(tmp_path):
    save_file(ARRAYS, tmp_path / "w.safetensors", {"format": "np", "by": "the library"})
    with SafetensorsFile(tmp_path / "w.safetensors") as weights:
        assert weights.metadata == {"format": "np", "by": "the library"}
        assert weights.info.keys() == ARRAYS.keys()
        assert weights.info["half"] == TensorInfo("F16", (2,))
        for name, array in ARRAYS.items():
            assert (weights.read(name).dtype, weights.read(name).shape) == (array.dtype, array.shape)
            np.testing.assert_array_equal(weights.read(name), array)
            assert bytes(weights.raw(name)) == array.tobytes()


def test_every_bfloat16_is_widened_without_loss(tmp_path):
    bits = np.arange(1 << 16, dtype="<u2")
    path = file_of(tmp_path / "w", {"w": entry("BF16", (256, 256), (0, bits.nbytes))}, bits.tobytes())
    with SafetensorsFile(path) as weights:
        wide = weights.read("w")
        assert weights.info["w"].dtype == "BF16" and bytes(weights.raw("w")) == bits.tobytes()
    assert (wide.dtype, wide.shape) == (np.float32, (256, 256))
    np.testing.assert_array_equal(wide.view(np.uint32).reshape(-1), bits.astype(np.uint32) << 16)


def test_every_float8_is_widened_without_loss(tmp_path):
    bits = np.arange(1 << 8, dtype=np.uint8)
    path = file_of(tmp_path / "w", {"w": entry("F8_E5M2", (16, 16), (0, bits.nbytes))}, bits.tobytes())
    sign, power, rest = 1 - 2.0 * (bits >> 7), (bits >> 2 & 31).astype(int), bits & 3       # of one, five and two bits
    expected = sign * np.where(power > 0, 2.0 ** (power - 15) * (1 + rest / 4), 2.0**-14 * rest / 4)
    expected[power == 31] = np.where(rest > 0, np.nan, sign * np.inf)[power == 31]
    with SafetensorsFile(path) as weights:
        wide = weights.read("w")
        assert weights.info["w"].dtype == "F8_E5M2" and bytes(weights.raw("w")) == bits.tobytes()
    assert (wide.dtype, wide.shape) == (np.float16, (16, 16))
    np.testing.assert_array_equal(wide.reshape(-1), expected)


def test_arrays_are_views_of_the_file_and_outlive_it(tmp_path):
    with SafetensorsFile(written(tmp_path / "w", ARRAYS)) as weights:
        array = weights.read("matrix")
    assert not array.flags.writeable and not array.flags.owndata
    np.testing.assert_array_equal(array, ARRAYS["matrix"])


def test_a_tensor_at_an_odd_byte_is_read(tmp_path):
    data = b"\1" + ARRAYS["matrix"].tobytes()
    path = file_of(tmp_path / "w", {"b": entry("U8", (1,), (0, 1)), "w": entry("F32", (3, 4), (1, 49))}, data)
    with SafetensorsFile(path) as weights:
        assert weights.read("w").flags.aligned
        np.testing.assert_array_equal(weights.read("w"), ARRAYS["matrix"])


def test_a_tensor_that_is_not_there_is_named(tmp_path):
    with SafetensorsFile(written(tmp_path / "w", ARRAYS)) as weights, pytest.raises(WeightsError, match="bias"):
        weights.read("bias")


HOSTILE = {
    "no header": (b"", b""),
    "not JSON": (b"{nonsense}", b""),
    "a list": (b"[]      ", b""),
    "not UTF-8": (b'{"\xff": 1}', b""),
    "nested deeply": (b'{"a":' + b"[" * 200_000, b""),
    "number of a million digits": (b'{"a":{"shape":[' + b"9" * 1_000_000 + b"]}}", b""),
    "a name twice": (b'{"w":1,"w":2}', b""),
    "metadata not strings": ({"__metadata__": {"a": 1}}, b""),
    "entry not a table": ({"w": 5}, b""),
    "entry without offsets": ({"w": {"dtype": "F32", "shape": [2]}}, bytes(8)),
    "entry with more": ({"w": entry(more=1)}, bytes(8)),
    "unknown dtype": ({"w": entry("F7")}, bytes(8)),
    "dtype not a string": ({"w": entry(["F32"])}, bytes(8)),
    "shape not a list": ({"w": {**entry(), "shape": 2}}, bytes(8)),
    "negative sizes": ({"w": entry(shape=(-1, -2))}, bytes(8)),
    "sizes that overflow": ({"w": entry(shape=(1 << 62, 4), offsets=(0, 0))}, b""),
    "huge but empty": ({"w": entry(shape=(0, 1 << 61), offsets=(0, 0))}, b""),
    "a size that is a truth": ({"w": entry("F32", (True, 2))}, bytes(8)),
    "a size that is a fraction": ({"w": entry("F32", (2.0,))}, bytes(8)),
    "too many axes": ({"w": entry("F32", (1,) * 65, (0, 4))}, bytes(4)),
    "range of another size": ({"w": entry(offsets=(0, 4))}, bytes(8)),
    "offsets backwards": ({"w": entry(offsets=(8, 0))}, bytes(8)),
    "three offsets": ({"w": entry(offsets=(0, 8, 8))}, bytes(8)),
    "offsets not numbers": ({"w": entry(offsets=("0", "8"))}, bytes(8)),
    "beyond the end": ({"w": entry()}, bytes(7)),
    "more than promised": ({"w": entry()}, bytes(9)),
    "overlap": ({"v": entry(), "w": entry(offsets=(4, 12))}, bytes(12)),
    "gap": ({"v": entry(), "w": entry(offsets=(12, 20))}, bytes(20)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_headers_are_refused_in_one_line(tmp_path, what):
    path = file_of(tmp_path / "w.safetensors", *HOSTILE[what])
    with pytest.raises(WeightsError, match=r"w\.safetensors") as caught:
        SafetensorsFile(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_a_header_longer_than_the_file_is_never_allocated(tmp_path):
    (tmp_path / "w").write_bytes(struct.pack("<Q", 1 << 63) + b"{}")
    tracemalloc.start()
    with pytest.raises(WeightsError):
        SafetensorsFile(tmp_path / "w")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_cut_short_anywhere_it_is_refused(tmp_path):
    whole = written(tmp_path / "w", ARRAYS).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "w").write_bytes(whole[:length])
        with pytest.raises(WeightsError):
            SafetensorsFile(tmp_path / "w")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return written(tmp_path_factory.mktemp("damaged") / "w", ARRAYS)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_flipped_bytes_give_an_error_or_arrays_of_the_promised_shape(sound, data):
    damaged = bytearray(sound.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = sound.with_name("damaged")
    path.write_bytes(damaged)
    try:
        with SafetensorsFile(path) as weights:
            for name, info in weights.info.items():
                assert weights.read(name).shape == info.shape
                assert len(weights.raw(name)) == info.nbytes
    except WeightsError as error:
        assert "\n" not in str(error)


# Writing

def test_the_library_reads_what_was_written(tmp_path):
    path = written(tmp_path / "w.safetensors", ARRAYS)
    with safe_open(path, "np") as library:
        assert library.metadata() == {"format": "pt"}
        assert set(library.keys()) == ARRAYS.keys()
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(library.get_tensor(name), array)


def test_every_tensor_is_aligned(tmp_path):
    content = written(tmp_path / "w", dict(reversed(ARRAYS.items()))).read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    assert length % 8 == 0
    header = json.loads(content[8:8 + length])
    for name, array in ARRAYS.items():
        assert header[name]["data_offsets"][0] % array.itemsize == 0


def test_tensors_are_asked_for_one_at_a_time(tmp_path):
    size, tensors = 4 << 20, [(f"w{i}", TensorInfo("F32", (1 << 20,))) for i in range(8)]
    tracemalloc.start()
    write_safetensors(tmp_path / "w", tensors, lambda name: bytes([int(name[1])]) * size)
    assert tracemalloc.get_traced_memory()[1] < 1.5 * size
    tracemalloc.stop()
    with SafetensorsFile(tmp_path / "w") as weights:
        assert all(bytes(weights.raw(f"w{i}")) == bytes([i]) * size for i in range(8))


def test_the_mode_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        path = written(tmp_path / "w", ARRAYS)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [KeyboardInterrupt(), WeightsError("damaged"), MemoryError()])
@pytest.mark.parametrize("before", [None, b"what was there"])
def test_a_failure_leaves_everything_as_it_was(tmp_path, error, before):
    path = tmp_path / "w"
    if before:
        path.write_bytes(before)

    def content(name):
        if name == "byte":
            raise error
        return ARRAYS[name].tobytes()

    tensors = [("matrix", TensorInfo("F32", (3, 4))), ("byte", TensorInfo("U8", (2,)))]
    with pytest.raises(type(error)):
        write_safetensors(path, tensors, content)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([before] if before else [])


def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        written(tmp_path / "w", ARRAYS)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OutputError, match="absent"):
        written(tmp_path / "absent" / "w", ARRAYS)
    with pytest.raises(OutputError, match=tmp_path.name):
        written(tmp_path, ARRAYS)


def test_a_check_that_fails_keeps_the_file_from_its_name(tmp_path):
    def check(path):
        with SafetensorsFile(path) as weights:
            assert weights.info.keys() == ARRAYS.keys()
        raise WeightsError("not what was wanted")

    with pytest.raises(WeightsError, match="wanted"):
        written(tmp_path / "w", ARRAYS, check=check)
    assert not list(tmp_path.iterdir())
