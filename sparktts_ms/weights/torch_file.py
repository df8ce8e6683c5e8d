"""Weight files of torch.save, read without torch and without running anything in them.

Both formats are pickles that describe tensors, and the bytes of their storages: the zip archive of
torch >= 1.6 (`NAME/data.pkl`, `NAME/data/KEY`), and the older stream (magic number, protocol,
system, object, storage keys, then each storage's number of elements and bytes).

Such files come from anywhere, so the unpickler knows only the opcodes and names that torch.save
writes. It is Python's own in its Python form, for a whitelist in `find_class` is not enough in the
C form: there 12 bytes can take 4 GB of memory, and a deeply nested dict key ends the process.
Source: pytorch/pytorch `torch/serialization.py`, `torch/_utils.py`.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sparktts_ms.weights.safetensors_file import (
    DTYPES,
    MAX_BYTES,
    TensorInfo,
    UnsupportedDtype,
    WeightsFile,
    tensor_info,
)

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
MAX_TABLE = 1 << 19             # bytes of a pickle or a zip directory; 429 tensors take 70,000
MAX_EXPANDED = 16 << 20         # bytes of a tensor that repeats elements of a smaller file
OPCODES = (
    "PROTO", "FRAME", "STOP", "MARK", "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET",
    "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINUNICODE", "SHORT_BINUNICODE", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1",
    "TUPLE2", "TUPLE3", "APPEND", "APPENDS", "GLOBAL", "STACK_GLOBAL", "BINPERSID", "REDUCE",
)


@dataclass(frozen=True)
class Storage:
    """A block of `count` elements that tensors view."""

    key: str
    dtype: str
    count: int

    @property
    def nbytes(self) -> int:
        return self.count * DTYPES[self.dtype].itemsize


@dataclass(frozen=True)
class TensorView:
    """A tensor as pickled: a view of a storage, offset and strides in elements."""

    storage: Storage
    info: TensorInfo
    offset: int
    strides: tuple[int, ...]


def _empty_dict() -> dict:
    return {}


def _rebuild_parameter(tensor: Any, requires_grad: Any, hooks: Any) -> Any:
    return tensor


def _rebuild_tensor_v2(
    storage: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, *flags: Any
) -> TensorView:
    return _rebuild_tensor_v3(storage, offset, shape, strides, grad, hooks, storage.dtype, *flags)


def _rebuild_tensor_v3(
    storage: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, dtype: Any,
    *flags: Any,
) -> TensorView:
    """A tensor that lies within its storage; `flags` say that it is conjugated or negated."""
    if type(storage) is not Storage or any(flags):
        raise ValueError("a tensor is not put together as torch.save does")
    if type(shape) is not tuple or type(strides) is not tuple or len(strides) != len(shape):
        raise ValueError("a tensor has no shape and as many strides")
    if any(type(number) is not int or number < 0 for number in (offset, *strides)):
        raise ValueError("a tensor has an impossible offset or stride")
    info = tensor_info(f"a view of storage {storage.key}", dtype, shape)
    last = offset
    for size, stride in zip(shape, strides, strict=True):
        last += (size - 1) * stride
    if info.nbytes and (last + 1) * DTYPES[info.dtype].itemsize > storage.nbytes:
        raise ValueError("a tensor reaches beyond its storage")
    return TensorView(storage, info, offset, strides)


STORAGE_DTYPES = {
    "torch.BoolStorage": "BOOL", "torch.ByteStorage": "U8", "torch.CharStorage": "I8",
    "torch.ShortStorage": "I16", "torch.IntStorage": "I32", "torch.LongStorage": "I64",
    "torch.HalfStorage": "F16", "torch.BFloat16Storage": "BF16", "torch.FloatStorage": "F32",
    "torch.DoubleStorage": "F64", "torch.storage.UntypedStorage": "U8",
}
GLOBALS: dict[str, Any] = {
    **STORAGE_DTYPES,
    "torch.uint16": "U16", "torch.uint32": "U32", "torch.uint64": "U64",
    "torch.float8_e4m3fn": "F8_E4M3", "torch.float8_e5m2": "F8_E5M2",
    "collections.OrderedDict": _empty_dict,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor_v2,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
}


PythonUnpickler: Any = pickle._Unpickler


class TensorUnpickler(PythonUnpickler):
    """An unpickler of dicts, lists, tuples, plain values, storages and tensors only."""

    def __init__(self, file: io.BytesIO, storages: dict[str, Storage]):
        super().__init__(file)
        self.storages = storages        # filled while loading

    def find_class(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}"
        if full_name not in GLOBALS:
            raise ValueError(f"it refers to {full_name[:160]!a}, which no tensor needs")
        return GLOBALS[full_name]

    def persistent_load(self, pid: Any) -> Storage:
        match pid:
            case ("storage", str(dtype), str(key), _, int(count), *rest) if (
                dtype in STORAGE_DTYPES.values() and 0 <= count < MAX_BYTES and not any(rest)
            ):
                storage = Storage(key, dtype, count)
            case _:
                raise ValueError("a storage is not described as torch.save does")
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"storage {key[:40]!r} is described in two ways")
        return storage

    def _set_items(self, items: list[Any]) -> None:
        table = self.stack[-1]
        if type(table) is not dict or not all(type(key) is str for key in items[::2]):
            raise ValueError("it fills something other than a table of names")
        table.update(zip(items[::2], items[1::2], strict=True))

    def load_setitem(self) -> None:
        items = self.stack[-2:]
        del self.stack[-2:]
        self._set_items(items)

    def load_setitems(self) -> None:
        items = self.pop_mark()
        self._set_items(items)

    def load_build(self) -> None:
        state = self.stack.pop()        # the _metadata of Module.state_dict(), which is left out
        if type(state) is not dict or type(self.stack[-1]) is not dict:
            raise ValueError("it sets the state of something other than an OrderedDict")

    dispatch: ClassVar[dict[int, Any]] = {      # opcode -> method
        getattr(pickle, name)[0]: PythonUnpickler.dispatch[getattr(pickle, name)[0]]
        for name in OPCODES
    }
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.BUILD[0]] = load_build


class TorchFile(WeightsFile):
    """A file of torch.save in either format, from a little-endian machine."""

    def _find_tensors(self) -> None:
        self._strides: dict[str, tuple[int, ...]] = {}      # of tensors that are not contiguous
        try:
            is_zip = self._bytes(0, 2) == b"PK"
            tensors, starts = self._open_zip() if is_zip else self._open_legacy()
            for name, tensor in tensors.items():
                self._add(name, tensor, starts[tensor.storage.key])
        except UnsupportedDtype:
            raise
        except Exception as error:      # whatever it is: the file is at fault
            raise self._error(f"is no weights file that can be trusted: {error}",
                              "Download it again, or save the model's state_dict() alone."
                              ) from error

    def _add(self, name: str, tensor: TensorView, storage_start: int) -> None:
        info = tensor.info
        if info.nbytes > max(len(self._map), MAX_EXPANDED):
            raise ValueError(f"{name[:80]!r} repeats elements until it is larger than the file")
        self.info[name] = info
        self._starts[name] = storage_start + tensor.offset * DTYPES[info.dtype].itemsize
        count = 1
        for size, stride in zip(reversed(info.shape), reversed(tensor.strides), strict=True):
            if size > 1 and stride != count and info.nbytes:
                self._strides[name] = tensor.strides
            count *= size

    def _view(self, name: str) -> np.ndarray:
        if name not in self._strides:
            return super()._view(name)
        info = self.info[name]
        flat = self._map[self._starts[name]:]
        steps = [stride * DTYPES[info.dtype].itemsize for stride in self._strides[name]]
        return np.ndarray(info.shape, DTYPES[info.dtype], flat, strides=steps).copy(order="C")

    def read_bytes(self, name: str) -> np.ndarray:
        if name not in self._strides:
            return super().read_bytes(name)
        return self._view(name).reshape(-1).view(np.uint8)

    def _bytes(self, start: int, size: int) -> bytes:
        """At most MAX_TABLE bytes of the file."""
        return self._map[start:start + min(size, MAX_TABLE)].tobytes()

    def _unpickle(self, start: int, size: int, storages: dict[str, Storage]) -> tuple[Any, int]:
        """A pickled value and its size in bytes, at most `size`."""
        table = io.BytesIO(self._bytes(start, size))
        return TensorUnpickler(table, storages).load(), table.tell()

    def _open_zip(self) -> tuple[dict[str, TensorView], dict[str, int]]:
        """The tensors, and the first byte of each storage."""
        members = self._zip_members()
        tables = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(tables) != 1:
            raise ValueError("it is a zip archive, but not one of torch.save")
        folder = tables[0].removesuffix("data.pkl")
        if self._bytes(*members.get(f"{folder}byteorder", (0, 0))) not in (b"", b"little"):
            raise ValueError("its byte order is not little-endian")
        storages: dict[str, Storage] = {}
        tensors = _state_dict(self._unpickle(*members[tables[0]], storages)[0])
        starts = {}
        for key, storage in storages.items():
            starts[key], size = members[f"{folder}data/{key}"]
            if size != storage.nbytes:
                raise ValueError(f"storage {key[:40]!r} has {size} bytes, not {storage.nbytes}")
        return tensors, starts

    def _zip_members(self) -> dict[str, tuple[int, int]]:
        """First byte and size of each member of an archive whose members are stored as they are."""
        tail_start = max(len(self._map) - MAX_TABLE, 0)
        tail = self._bytes(tail_start, MAX_TABLE)
        with zipfile.ZipFile(io.BytesIO(tail)) as archive:      # reads the directory only
            infos = archive.infolist()
            end = len(tail) - 22 - len(archive.comment)
        signature, count = struct.unpack_from("<4s6xH", tail, end)
        if signature != b"PK\5\6" or count not in (len(infos), 0xFFFF):
            raise ValueError("the directory of the zip archive is damaged or cut short")
        members: dict[str, tuple[int, int]] = {}
        reached = 0
        for info in sorted(infos, key=lambda info: info.header_offset):
            if info.compress_type or info.flag_bits & 1 or info.file_size != info.compress_size:
                raise ValueError(f"{info.filename[:80]!r} in it is compressed or encrypted")
            header_start = tail_start + info.header_offset
            header = self._bytes(max(header_start, 0), 30)
            signature, name_size, extra_size = struct.unpack("<4s22xHH", header)
            is_free = header_start >= reached and info.filename not in members
            start = header_start + 30 + name_size + extra_size
            reached = start + info.file_size
            if signature != b"PK\3\4" or not is_free or reached > len(self._map):
                raise ValueError("members of the zip archive overlap or lie outside it")
            members[info.filename] = (start, info.file_size)
        return members

    def _open_legacy(self) -> tuple[dict[str, TensorView], dict[str, int]]:
        """The tensors, and the first byte of each storage."""
        position = 0
        values: list[Any] = []
        storages: dict[str, Storage] = {}
        for _ in ("magic number", "protocol", "system", "object", "storage keys"):
            value, size = self._unpickle(position, MAX_TABLE, storages)
            values.append(value)
            position += size
            if values[0] != LEGACY_MAGIC:
                raise ValueError("it is a pickle, but not one of torch.save")
        _, protocol, system, saved, keys = values
        is_little = type(system) is dict and system.get("little_endian") is True
        if protocol != LEGACY_PROTOCOL or not is_little:
            raise ValueError("it was not saved by a known torch on a little-endian machine")
        tensors = _state_dict(saved)
        if not all(type(key) is str for key in keys) or sorted(keys) != sorted(storages):
            raise ValueError("its storages are not those that its tensors need")
        starts = {}
        for key in keys:
            (count,) = struct.unpack("<q", self._bytes(position, 8))
            starts[key] = position + 8
            position += 8 + storages[key].nbytes
            if count != storages[key].count or position > len(self._map):
                raise ValueError(f"storage {key[:40]!r} is cut short or of another size")
        return tensors, starts


def _state_dict(value: Any) -> dict[str, TensorView]:
    """The table of tensors in a pickled value, or in the wrapper of a training script."""
    if type(value) is not dict:
        raise ValueError("it holds no table of tensors")
    wrapper = next((key for key in ("state_dict", "model") if type(value.get(key)) is dict), None)
    if wrapper and not any(isinstance(entry, TensorView) for entry in value.values()):
        for key, entry in value.items():
            if key != wrapper and not isinstance(entry, str | int | float | None):
                raise ValueError(f"{key[:80]!r} beside {wrapper!r} is more than a plain value")
        value = value[wrapper]
    if not value:
        raise ValueError("it holds no tensors")
    for name, entry in value.items():
        if not isinstance(entry, TensorView):
            raise ValueError(f"{name[:80]!r} is not a tensor")
    return value
