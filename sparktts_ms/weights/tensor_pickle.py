"""The pickle of a table of tensors, read without running anything that it contains.

Python's unpickler is a programming language, so it is not used: `TensorPickle` knows just the opcodes and the few names
that a table of tensors needs, and refuses the rest. Source: pytorch/pytorch `torch/serialization.py`, `torch/_utils.py`.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, field
from typing import Any

from sparktts_ms.weights.safetensors_file import DTYPES, MAX_BYTES, TensorInfo, check_shape

STORAGES = {f"torch.{name}Storage": dtype for name, dtype in {
    "Bool": "BOOL", "Byte": "U8", "Char": "I8", "Short": "I16", "Half": "F16", "BFloat16": "BF16", "Int": "I32",
    "Float": "F32", "Long": "I64", "Double": "F64"}.items()}
STORAGES["torch.storage.UntypedStorage"] = "U8"
BARE_DTYPES = {"torch.uint16": "U16", "torch.uint32": "U32", "torch.uint64": "U64"}     # those without a storage class
FUNCTIONS = {"collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3",
             "torch._utils._rebuild_parameter"}

MAX_STEPS = 2_000_000       # opcodes of one pickle; a tensor takes about 25
MAX_TEXT = 1 << 16          # bytes of one string


@dataclass(frozen=True)
class Global:
    """A name that a pickle asks for; it is only ever compared, never imported."""

    name: str


@dataclass(frozen=True)
class Storage:
    key: str
    dtype: str
    count: int

    @property
    def nbytes(self) -> int:
        return self.count * DTYPES[self.dtype].itemsize


@dataclass(frozen=True)
class TensorView:
    """A tensor as pickled: a strided view of a storage; offset and strides in elements of its own dtype."""

    storage: Storage
    info: TensorInfo
    offset: int
    strides: tuple[int, ...]


@dataclass
class TensorPickle:
    """One pickle in `data[position:end]`, made of dicts, lists, tuples, plain values, storages and tensors only."""

    data: bytes | mmap.mmap
    position: int
    end: int
    storages: dict[str, Storage] = field(default_factory=dict)
    stack: list = field(default_factory=list)
    below: list[list] = field(default_factory=list)         # what the stack was at each open mark
    memo: dict[int, object] = field(default_factory=dict)

    def load(self) -> object:
        """The value; `position` is then behind it. Raises ValueError, LookupError or struct.error."""
        for _ in range(MAX_STEPS):
            opcode = self.take(1)
            if opcode == b".":
                return self.stack.pop()
            if opcode not in OPCODES:
                raise ValueError(f"opcode {opcode!r} has no place in a table of tensors")
            OPCODES[opcode](self)
        raise ValueError("its pickle is too long")

    def take(self, count: int) -> bytes:
        start, self.position = self.position, self.position + count
        if self.position > self.end:
            raise ValueError("its pickle is cut short, or longer than any table of tensors")
        return self.data[start:self.position]

    def number(self, code: str):
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def text(self, length: int) -> str:
        if length > MAX_TEXT:
            raise ValueError("a string in its pickle is too long")
        return self.take(length).decode()

    def line(self) -> str:
        end = self.data.find(b"\n", self.position, min(self.end, self.position + 256))
        if end < 0:
            raise ValueError("a name in its pickle has no end")
        return self.take(end + 1 - self.position)[:-1].decode()

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self, count: int) -> list:
        if len(self.stack) < count:
            raise ValueError("its pickle takes more than is there")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list:
        items, self.stack = self.stack, self.below.pop()
        return items

    def keep(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def look_up(self, module: object, name: object) -> None:
        if type(module) is not str or type(name) is not str:        # and never put into words: it may be a bomb
            raise ValueError("it asks for something that has no name")
        wanted = f"{module}.{name}"
        if wanted not in FUNCTIONS and wanted not in STORAGES and wanted not in BARE_DTYPES:
            raise ValueError(f"it asks for {ascii(wanted[:200])[1:-1]}, which no tensor needs; it was not run")
        self.push(Global(wanted))

    def extend(self, items: list) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError("it appends to what is not a list")
        self.stack[-1].extend(items)

    def update(self, items: list) -> None:
        if type(self.stack[-1]) is not dict or len(items) % 2 or not all(type(key) is str for key in items[::2]):
            raise ValueError("it fills something other than a table of names")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def forget_state(self, state: object) -> None:
        if type(self.stack[-1]) is not dict or type(state) is not dict:     # the _metadata of Module.state_dict()
            raise ValueError("it sets attributes of something other than an OrderedDict")

    def find_storage(self, described: object) -> None:
        match described:
            case ("storage", Global(kind), str(key), _, int(count), *older) if (
                    kind in STORAGES and 0 <= count < MAX_BYTES and not any(older)):
                storage = Storage(key, STORAGES[kind], count)
            case _:
                raise ValueError("a storage is not described as torch.save does")
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"storage {key[:40]!r} is described in two ways")
        self.push(storage)

    def call(self, function: object, arguments: object) -> None:
        match function, arguments:
            case Global("collections.OrderedDict"), ():
                self.push({})
            case Global("torch._utils._rebuild_parameter"), (TensorView() as tensor, _, _):
                self.push(tensor)
            case Global("torch._utils._rebuild_tensor_v2"), (Storage() as storage, offset, shape, strides, _, _, *bits):
                self.push(view(storage, storage.dtype, offset, shape, strides, bits))
            case Global("torch._utils._rebuild_tensor_v3"), (
                    Storage() as storage, offset, shape, strides, _, _, Global(dtype), *bits) if dtype in BARE_DTYPES:
                self.push(view(storage, BARE_DTYPES[dtype], offset, shape, strides, bits))
            case _:
                raise ValueError("a tensor is not put together as torch.save does")


OPCODES = {
    b"\x80": lambda p: p.take(1),                                   # protocol
    b"\x95": lambda p: p.take(8),                                   # length of a frame
    b"q": lambda p: p.keep(p.number("<B")),
    b"r": lambda p: p.keep(p.number("<I")),
    b"\x94": lambda p: p.keep(len(p.memo)),
    b"h": lambda p: p.push(p.memo[p.number("<B")]),
    b"j": lambda p: p.push(p.memo[p.number("<I")]),
    b"N": lambda p: p.push(None),
    b"\x88": lambda p: p.push(True),
    b"\x89": lambda p: p.push(False),
    b"K": lambda p: p.push(p.number("<B")),
    b"M": lambda p: p.push(p.number("<H")),
    b"J": lambda p: p.push(p.number("<i")),
    b"\x8a": lambda p: p.push(int.from_bytes(p.take(p.number("<B")), "little", signed=True)),
    b"G": lambda p: p.push(p.number(">d")),
    b"X": lambda p: p.push(p.text(p.number("<I"))),
    b"\x8c": lambda p: p.push(p.text(p.number("<B"))),
    b"}": lambda p: p.push({}),
    b"]": lambda p: p.push([]),
    b")": lambda p: p.push(()),
    b"(": lambda p: p.mark(),
    b"t": lambda p: p.push(tuple(p.since_mark())),
    b"\x85": lambda p: p.push(tuple(p.pop(1))),
    b"\x86": lambda p: p.push(tuple(p.pop(2))),
    b"\x87": lambda p: p.push(tuple(p.pop(3))),
    b"a": lambda p: p.extend(p.pop(1)),
    b"e": lambda p: p.extend(p.since_mark()),
    b"s": lambda p: p.update(p.pop(2)),
    b"u": lambda p: p.update(p.since_mark()),
    b"c": lambda p: p.look_up(p.line(), p.line()),
    b"\x93": lambda p: p.look_up(*p.pop(2)),
    b"Q": lambda p: p.find_storage(*p.pop(1)),
    b"R": lambda p: p.call(*p.pop(2)),
    b"b": lambda p: p.forget_state(*p.pop(1)),
}


def view(storage: Storage, dtype: str, offset: Any, shape: Any, strides: Any, bits: list) -> TensorView:
    """A tensor that provably lies inside its storage; `bits` may say that it is conjugated. Raises ValueError."""
    info = check_shape(f"a view of storage {storage.key}", dtype, shape)
    if any(bits):
        raise ValueError("a conjugated or negated view is not supported")
    if type(strides) is not tuple or len(strides) != len(info.shape):
        raise ValueError("a view has another number of strides than of axes")
    if any(type(number) is not int or number < 0 for number in (offset, *strides)):
        raise ValueError("a view has an impossible offset or stride")
    reach = offset + sum((size - 1) * stride for size, stride in zip(info.shape, strides, strict=True)) + 1
    if info.nbytes and reach * DTYPES[dtype].itemsize > storage.nbytes:
        raise ValueError("a view reaches beyond its storage")
    steps = tuple(stride if size > 1 else 0 for size, stride in zip(info.shape, strides, strict=True))
    return TensorView(storage, info, offset, steps)


def state_dict(value: Any) -> dict[str, TensorView]:
    """The table of tensors in what was pickled, out of the wrapper that training scripts put around it."""
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
