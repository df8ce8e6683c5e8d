"""Files of torch.save: equal to what torch reads, without torch, and harmless when hostile."""

import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparktts_ms.errors import WeightsError
from sparktts_ms.weights.torch_file import LEGACY_MAGIC, LEGACY_PROTOCOL, TorchFile
from tests.helpers import GOLDEN, examples

GOLDEN_FILES = GOLDEN / "torch_bin"
FILES = ("zip.bin", "legacy.bin", "wrapped.bin")


# A writer of torch's formats from pickle opcodes, so that anything can be wrong on purpose.

def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    digits = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(digits)]) + digits


def reference(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def sequence(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def table(entries: dict[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(name) + entry for name, entry in entries.items()) + b"u"


def storage(key="0", count=6, kind="Float", last=b"") -> bytes:
    return sequence(text("storage"), reference("torch", f"{kind}Storage"), text(key), text("cpu"),
                    number(count), last) + b"Q"


def tensor(stored: bytes, shape=(2, 3), strides=(3, 1), offset=0, flags=b"") -> bytes:
    hooks = reference("collections", "OrderedDict") + b")R"
    arguments = sequence(stored, number(offset), sequence(*map(number, shape)),
                         sequence(*map(number, strides)), b"\x89", hooks, flags)
    return reference("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def write_zip(path: Path, saved: bytes, storages: dict[str, bytes], method=zipfile.ZIP_STORED,
              **extra: bytes) -> Path:
    """A zip-format file whose data.pkl is PROTO, the opcodes `saved` and STOP."""
    members = dict(extra)
    for key, data in storages.items():
        members[f"data/{key}"] = data
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("any/data.pkl", b"\x80\x02" + saved + b".")
        for name, content in members.items():
            archive.writestr(f"any/{name}", content)
    return path


def write_legacy(path: Path, saved: bytes, storages: dict[str, tuple[int, bytes]],
                 little=True) -> Path:
    """A file of the older format; `storages` gives each its number of elements and its bytes."""
    parts = [pickle.dumps(LEGACY_MAGIC, 2), pickle.dumps(LEGACY_PROTOCOL, 2),
             pickle.dumps({"little_endian": little}, 2)]
    parts += [b"\x80\x02" + saved + b".", pickle.dumps(list(storages), 2)]
    for count, data in storages.values():
        parts.append(struct.pack("<q", count) + data)
    path.write_bytes(b"".join(parts))
    return path


@pytest.fixture(params=["zip", "legacy"])
def save(request, tmp_path):
    """Write opcodes, and one storage of six float32 zeros, in both formats."""
    def write(saved: bytes) -> Path:
        if request.param == "zip":
            return write_zip(tmp_path / "made.bin", saved, {"0": bytes(24)})
        return write_legacy(tmp_path / "made.bin", saved, {"0": (6, bytes(24))})
    return write


def read_all(path: Path) -> None:
    """Read all tensors; each must be as `info` says."""
    weights = TorchFile(path)
    for name, info in weights.info.items():
        assert weights.read(name).shape == info.shape
        assert len(weights.read_bytes(name)) == info.nbytes


def peak_memory(function, *arguments) -> int:
    """Bytes that Python and NumPy allocate at most during a call."""
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# Sound files

@pytest.mark.parametrize("file", FILES)
def test_tensors_equal_torch(file):
    expected = np.load(GOLDEN_FILES / "expected.npz")
    weights = TorchFile(GOLDEN_FILES / file)
    assert set(weights.info) == set(expected.files)
    for name in expected.files:
        array = weights.read(name)
        assert (array.dtype, array.shape) == (expected[name].dtype, expected[name].shape), name
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
        assert weights.info[name].shape == expected[name].shape


@pytest.mark.parametrize("file", FILES)
def test_read_bytes_is_c_contiguous(file):
    weights = TorchFile(GOLDEN_FILES / file)
    for name, info in weights.info.items():
        array = weights.read(name)
        if info.dtype == "BF16":
            array = (np.ascontiguousarray(array).view(np.uint32) >> 16).astype(np.uint16)
        assert bytes(weights.read_bytes(name)) == array.tobytes(), name


def test_dtypes():
    weights = TorchFile(GOLDEN_FILES / "zip.bin")
    dtypes = {name: info.dtype for name, info in weights.info.items()}
    assert dtypes["half"] == "F16"
    assert dtypes["bfloat16_slice"] == dtypes["scalar_bfloat16"] == "BF16"
    assert dtypes["int64_transposed"] == "I64"
    assert (dtypes["bool"], dtypes["uint16"], dtypes["float64"]) == ("BOOL", "U16", "F64")


def test_contiguous_tensors_are_views():
    array = TorchFile(GOLDEN_FILES / "zip.bin").read("weight")
    assert not array.flags.writeable and not array.flags.owndata
    np.testing.assert_array_equal(array, np.load(GOLDEN_FILES / "expected.npz")["weight"])


def test_memory_is_taken_when_bytes_are_read(tmp_path):
    count = 8 << 20
    tensors = {"a": tensor(storage(count=count), (count,), (1,)),
               "b": tensor(storage(count=count), (2,), (1,), 5)}
    path = write_legacy(tmp_path / "large.bin", table(tensors), {"0": (count, b"")})
    os.truncate(path, path.stat().st_size + 4 * count)
    assert peak_memory(TorchFile, path) < 1 << 20
    weights = TorchFile(path)
    assert peak_memory(weights.read_bytes, "b") < 1 << 20
    assert peak_memory(weights.read_bytes, "a") < 4 * count + (1 << 20)
    assert bytes(weights.read_bytes("b")) == bytes(8)
    assert len(weights.read_bytes("a")) == 4 * count


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_wrapped_state_dict(save, wrapper):
    weights = TorchFile(save(table({wrapper: table({"w": tensor(storage())}), "epoch": number(3)})))
    assert weights.info["w"] == ("F32", (2, 3))


def test_zip64_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10)
    read_all(write_zip(tmp_path / "w.bin", table({"w": tensor(storage())}), {"0": bytes(24)}))


# Hostile files

@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("where", ["alone", "among tensors"])
def test_pickled_command_is_refused_by_name(save, tmp_path, protocol, where):
    marker = tmp_path / "was_run"

    class Command:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    command = pickle.dumps(Command(), protocol)[2:-1]       # without PROTO and STOP
    pickled = {"alone": command, "among tensors": table({"w": tensor(storage()), "x": command})}
    path = save(pickled[where])
    with pytest.raises(WeightsError, match=rf"{os.system.__module__}\.system") as caught:
        TorchFile(path)
    assert "\n" not in str(caught.value)
    assert not marker.exists()
    pickle.loads(b"\x80\x02" + command + b".")
    assert marker.exists(), "the command was no threat, so the test proves nothing"


@pytest.mark.parametrize("module, name", [
    ("builtins", "eval"), ("torch", "load"), ("torch._utils", "_rebuild_qtensor"),
    ("collections", "OrderedDict.fromkeys"), ("numpy", "load"), ("os", "system")])
def test_unknown_name_is_refused(save, module, name):
    with pytest.raises(WeightsError, match=f"{module}.{name}"):
        TorchFile(save(table({"w": reference(module, name) + sequence(text("x")) + b"R"})))


good = tensor(storage())
HOSTILE = {
    "beyond its storage": table({"w": tensor(storage(), (2, 4), (4, 1))}),
    "offset beyond": table({"w": tensor(storage(), offset=1)}),
    "negative offset": table({"w": tensor(storage(), (1,), (1,), offset=-1)}),
    "negative stride": table({"w": tensor(storage(), (2,), (-1,), offset=3)}),
    "negative size": table({"w": tensor(storage(), (-2, -3))}),
    "overflowing sizes": table({"w": tensor(storage(), (1 << 32, 1 << 32), (0, 0))}),
    "huge by repetition": table({"w": tensor(storage(), (1 << 40,), (0,))}),
    "huge but empty": table({"w": tensor(storage(), (0, 1 << 62), (1, 1))}),
    "a size of 2000 bits": table({"w": tensor(storage(), (1 << 2000,), (0,))}),
    "an offset of 2000 bits": table({"w": tensor(storage(), (1,), (1,), 1 << 2000)}),
    "too many axes": table({"w": tensor(storage(), (1,) * 65, (1,) * 65)}),
    "fewer strides than axes": table({"w": tensor(storage(), (2, 3), (1,))}),
    "storage larger than stored": table({"w": tensor(storage(count=7))}),
    "storage of negative size": table({"w": tensor(storage(count=-6))}),
    "storage of 2000 bits": table({"w": tensor(storage(count=1 << 2000))}),
    "storage not there": table({"w": tensor(storage("1"))}),
    "storage outside its folder": table({"w": tensor(storage("../data.pkl"))}),
    "storage described twice": table({"w": good, "v": tensor(storage(kind="Int"))}),
    "storage of an unknown shape": table({"w": tensor(storage(last=text("a view")))}),
    "a shape that is a list": table({
        "w": good.replace(sequence(number(2), number(3)), b"](" + number(2) + number(3) + b"e")}),
    "conjugated": table({"w": tensor(storage(), flags=table({"conj": b"\x88"}))}),
    "key not a string": b"}" + number(1) + good + b"s",
    "key unhashable": b"}]" + good + b"s",
    "odd number of items": b"}(" + text("w") + b"u",
    "items set on a list": b"](" + text("w") + good + b"u",
    "appended to a table": b"}(" + good + b"e",
    "state set on a tensor": table({"w": good + b"}b"}),
    "state that is no table": table({"w": good}) + good + b"b",
    "call of a string": table({"w": text("x") + b")R"}),
    "call of a storage class": table({"w": reference("torch", "FloatStorage") + b")R"}),
    "call of a function on nothing": table({
        "w": reference("torch._utils", "_rebuild_tensor_v2") + b")R"}),
    "persistent id of another kind": table({"w": sequence(text("module"), text("x")) + b"Q"}),
    "a value beside tensors": table({"w": good, "epoch": number(3)}),
    "a table beside a wrapper": table({"state_dict": table({"w": good}), "optimizer": table({})}),
    "an empty table": table({}),
    "a list": b"]" + good + b"a",
    "a lone tensor": good,
    "a table inside itself": b"}q\x00" + text("w") + b"h\x00s",
    "a wrapper inside itself": b"}q\x00" + text("model") + b"h\x00s",
    "nothing": b"",
    "taken from nothing": b"\x87",
    "mark without end": b"(" * 1000,
    "end without mark": b"t",
    "memory never written": b"j\xff\xff\xff\xff",
    "a long string": b"X\xff\xff\xff\xff",
    "no text": b"X\x01\x00\x00\x00\xff",
    "class by INST": b"(ios\nsystem\n",
    "class by NEWOBJ": b"}}\x81",
    "extension code": b"\x82\x01",
    "a number of gigabytes": b"\x8b\xff\xff\xff\x7f",
    "bytes of gigabytes": b"\x8e" + b"\xff" * 8,
    "nested deeply": b")" + b"\x85" * 100_000,
    "a bomb of references": b")q\x00" + b"(h\x00h\x00h\x00h\x00tq\x00" * 10_000,
    "dict key nested deeply": b"})" + b"\x85" * 400_000 + b"Ns",
    "many dicts": b"}" * 2_000_000,
    "a name that is a bomb":
        b")q\x00" + b"(h\x00h\x00h\x00h\x00tq\x00" * 1000 + text("x") + b"\x93",
    "a name nested deeply": b")" + b"\x85" * 100_000 + text("x") + b"\x93",
    "a very long name": text("a" * 65_000) + text("b" * 65_000) + b"\x93",
    "too many steps": b"N" * 2_000_001,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_pickle_is_refused(save, what):
    path = save(HOSTILE[what])
    with pytest.raises(WeightsError) as caught:
        read_all(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_large_memo_index_needs_no_memory(save):
    path = save(table({"w": good + b"r\xff\xff\xff\xff"}))
    assert peak_memory(read_all, path) < 1 << 20


def damaged_archives(folder: Path) -> dict[str, Path]:
    """Archives that differ from a good one in one respect each."""
    saved, stored = table({"w": good}), {"0": bytes(24)}
    sound = write_zip(folder / "sound.bin", saved, stored).read_bytes()

    def patched(position: int, fmt: str, value: int) -> bytes:
        changed = bytearray(sound)
        struct.pack_into(fmt, changed, position, value)
        return bytes(changed)

    first, end = sound.index(b"PK\1\2"), sound.index(b"PK\5\6")
    second = sound.index(b"PK\1\2", first + 1)
    changed = {
        "encrypted": patched(first + 8, "<H", 1),
        "another size inside": patched(first + 20, "<I", 7),
        "overlapping": patched(second + 42, "<I", 0),
        "header elsewhere": patched(second + 42, "<I", 1 << 31),
        "directory elsewhere": patched(end + 16, "<I", 1 << 31),
        "too many members": patched(end + 10, "<H", 0xFFFE),
        "same name twice": sound[:first] + sound[first:second] * 2 + sound[end:],
        "without its end": sound[:end],
        "followed by more": sound + b"x",
    }
    for name, content in changed.items():
        (folder / f"{name}.bin").write_bytes(content)
    write_zip(folder / "compressed.bin", saved, {"0": bytes(24)}, zipfile.ZIP_DEFLATED)
    write_zip(folder / "bomb.bin", saved, {"0": bytes(1 << 24)}, zipfile.ZIP_DEFLATED)
    write_zip(folder / "big-endian.bin", saved, stored, byteorder=b"big")
    with zipfile.ZipFile(folder / "two tables.bin", "w") as archive:
        for name in ("a/data.pkl", "b/data.pkl"):
            archive.writestr(name, b"}.")
    with zipfile.ZipFile(folder / "other archive.bin", "w") as archive:
        archive.writestr("hello.txt", "hello")
    (folder / "sound.bin").unlink()
    return {path.stem: path for path in folder.glob("*.bin")}


def test_damaged_archive_is_refused(tmp_path):
    for what, path in damaged_archives(tmp_path).items():
        with pytest.raises(WeightsError) as caught:
            read_all(path)
        assert "\n" not in str(caught.value), what


def test_other_legacy_pickle_is_refused(tmp_path):
    path = write_legacy(tmp_path / "w.bin", table({"w": good}), {"0": (6, bytes(24))}, little=False)
    with pytest.raises(WeightsError, match="little-endian"):
        TorchFile(path)
    path.write_bytes(pickle.dumps({"w": 1}, 2))
    with pytest.raises(WeightsError, match="not one of torch"):
        TorchFile(path)


def test_legacy_storage_of_another_size_is_refused(tmp_path):
    for count, data in ((7, bytes(28)), (6, bytes(20)), (-1, bytes(24))):
        with pytest.raises(WeightsError):
            TorchFile(write_legacy(tmp_path / "w.bin", table({"w": good}), {"0": (count, data)}))


def test_what_is_no_file_is_named(tmp_path):
    (tmp_path / "empty.bin").touch()
    os.mkfifo(tmp_path / "pipe.bin")
    for name in ("absent.bin", "", "empty.bin", "pipe.bin"):
        with pytest.raises(WeightsError, match=name or tmp_path.name):
            TorchFile(tmp_path / name)


@pytest.mark.parametrize("file", FILES)
def test_truncated_file_is_refused(file, tmp_path):
    content = (GOLDEN_FILES / file).read_bytes()
    path = tmp_path / file
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(WeightsError):
            read_all(path)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


def read_damaged(path: Path) -> None:
    try:
        read_all(path)
    except WeightsError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("file", FILES)
@settings(max_examples=examples(300))
@given(data=st.data())
def test_flipped_bytes_give_error_or_stated_shape(file, scratch, data):
    damaged = bytearray((GOLDEN_FILES / file).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        damaged[position] = data.draw(st.integers(0, 255))
    path = scratch / file
    path.write_bytes(damaged)
    assert peak_memory(read_damaged, path) < 80 << 20
