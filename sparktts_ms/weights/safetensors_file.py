"""Weight files in the safetensors format: a lazily mapped reader that trusts nothing, and a streaming writer.

The format (github.com/huggingface/safetensors): eight bytes of header length, a JSON header that gives each tensor its
dtype, shape and byte range, then the tensors back to back. The library's own NumPy reader has no bfloat16; this has.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import secrets
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

import numpy as np

from sparktts_ms.errors import OutputError, WeightsError

DTYPES = {name: np.dtype(code) for name, code in {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2",
    "F8_E5M2": "u1", "BF16": "<u2",                                     # their bits: the upper halves of F16 and F32
    "U32": "<u4", "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8"}.items()}
UPPER_HALVES = {"BF16": (np.uint32, np.float32), "F8_E5M2": (np.uint16, np.float16)}
MAX_HEADER = 16 << 20       # bytes; 840 tensors take 0.1 MB
MAX_DIMENSIONS = 32         # what every NumPy can hold
MAX_BYTES = 1 << 62
TORCH_ORDER = MappingProxyType({"format": "pt"})


class TensorInfo(NamedTuple):
    """What a file says about a tensor: safetensors' name of its dtype ("F32", "BF16", ...) and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


class Place(NamedTuple):
    """Where a tensor lies in its file: first byte, and strides in elements (None when row by row without gaps)."""

    start: int
    strides: tuple[int, ...] | None = None


class MappedWeights:
    """A weight file mapped read-only, of which a subclass has found the tensors; nothing is read before it is asked.

    `read` gives views of the mapping and so costs no memory of its own; `raw` reads the bytes from the file, and what
    it returned is all that stays in memory. Closing leaves arrays that were handed out valid.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.info: dict[str, TensorInfo] = {}
        self.metadata: dict[str, str] = {}
        self._places: dict[str, Place] = {}
        if not os.path.isfile(path):        # a pipe would make open() wait
            raise WeightsError(f"There is no file {path}.")
        with ExitStack() as undo:
            try:
                self._file = undo.enter_context(self.path.open("rb"))
                if not os.fstat(self._file.fileno()).st_size:       # nothing cannot be mapped
                    raise WeightsError(f"{path} is empty; was the download cut short?")
                self._map = undo.enter_context(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))
            except (OSError, ValueError) as error:
                raise WeightsError(f"{path} cannot be read: {error}.") from error
            self._find_tensors()
            undo.pop_all()                  # found: they stay open until close()

    def _find_tensors(self) -> None:
        raise NotImplementedError

    def read(self, name: str) -> np.ndarray:
        """The tensor `name` with its shape, in its own dtype; BF16 is widened to float32 and F8_E5M2 to float16, which loses
        nothing.

        The array is a read-only view of the file wherever alignment and strides allow. Raises WeightsError.
        """
        stored = self._stored(name)
        if self.info[name].dtype not in UPPER_HALVES:
            return stored
        bits, whole = UPPER_HALVES[self.info[name].dtype]
        wide = stored.reshape(-1).astype(bits)
        wide <<= 8 * stored.itemsize
        return wide.view(whole).reshape(stored.shape)

    def raw(self, name: str) -> bytes | bytearray:
        """The tensor's elements as stored, row by row, little-endian. Raises WeightsError."""
        self._check(name)
        if self._places[name].strides is not None:
            return self._stored(name).tobytes()
        buffer = bytearray(self.info[name].nbytes)
        try:
            self._file.seek(self._places[name].start)
            filled = self._file.readinto(buffer)
        except OSError as error:
            raise WeightsError(f"{self.path} cannot be read: {error}.") from error
        if filled != len(buffer):
            raise WeightsError(f"{self.path} became shorter while it was read.")
        return buffer

    def _stored(self, name: str) -> np.ndarray:
        self._check(name)
        (start, strides), (dtype_name, shape) = self._places[name], self.info[name]
        dtype = DTYPES[dtype_name]
        if 0 in shape:
            return np.empty(shape, dtype)
        reach = math.prod(shape) if strides is None else 1 + sum(
            (size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        flat = np.frombuffer(self._map, dtype, reach, start)
        if strides is not None:
            steps = [stride * dtype.itemsize for stride in strides]
            return np.lib.stride_tricks.as_strided(flat, shape, steps, writeable=False).copy(order="C")
        return (flat if flat.flags.aligned else flat.copy()).reshape(shape)

    def _check(self, name: str) -> None:
        if name not in self.info:
            raise WeightsError(f"{self.path} holds no tensor {name!r}.")

    def close(self) -> None:
        with suppress(BufferError):         # arrays still look into the mapping; the last of them ends it
            self._map.close()
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def check_shape(name: str, dtype: object, shape: object) -> TensorInfo:
    """Make a TensorInfo of values found in a file. Raises ValueError, naming `name`, when no array can be like that."""
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"{name[:80]!r} has a dtype that is not supported, {str(dtype)[:40]!r}")
    if not isinstance(shape, list | tuple) or len(shape) > MAX_DIMENSIONS:
        raise ValueError(f"{name[:80]!r} has a shape that is no short list of sizes")
    if any(type(size) is not int or not 0 <= size < MAX_BYTES for size in shape):
        raise ValueError(f"{name[:80]!r} has a size that is no reasonable whole number")
    if math.prod(size or 1 for size in shape) * DTYPES[dtype].itemsize > MAX_BYTES:
        raise ValueError(f"{name[:80]!r} is larger than any memory")
    return TensorInfo(dtype, tuple(shape))


class SafetensorsFile(MappedWeights):
    """A safetensors file. `info` and `metadata` are known after opening; a damaged header raises WeightsError."""

    def _find_tensors(self) -> None:
        size = len(self._map)
        length = struct.unpack("<Q", self._map[:8])[0] if size >= 8 else MAX_HEADER + 1
        if length > min(MAX_HEADER, size - 8) or self._map[8:9] != b"{":
            raise WeightsError(f"{self.path} is not a safetensors file, or is cut short.")
        try:
            header = json.loads(self._map[8:8 + length].decode(), object_pairs_hook=_no_duplicates, parse_int=_int64)
            self.metadata = _metadata(header.pop("__metadata__", None) or {})
            self._lay_out(header, 8 + length)
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"{self.path} has a damaged safetensors header: {error}.") from error

    def _lay_out(self, header: dict, data_start: int) -> None:
        ranges = []
        for name, entry in header.items():
            if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
                raise ValueError(f"{name[:80]!r} is not described by dtype, shape and data_offsets")
            info, offsets = check_shape(name, entry["dtype"], entry["shape"]), entry["data_offsets"]
            if not isinstance(offsets, list) or [type(x) for x in offsets] != [int, int]:
                raise ValueError(f"{name[:80]!r} has offsets that are not two whole numbers")
            if offsets[1] - offsets[0] != info.nbytes:
                raise ValueError(f"{name[:80]!r} has a shape that does not fill its byte range")
            self.info[name], self._places[name] = info, Place(data_start + offsets[0])
            ranges.append(offsets)
        reached = 0
        for begin, end in sorted(ranges):
            if begin != reached:
                raise ValueError("byte ranges overlap or leave a gap")
            reached = end
        if data_start + reached != len(self._map):
            raise ValueError(f"it promises {data_start + reached} bytes, the file has {len(self._map)}")


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _int64(digits: str) -> int:
    if len(digits) > 19:            # and no quadratic time for a number of a million digits
        raise ValueError("a number is too large")
    return int(digits)


def _metadata(found: object) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError("__metadata__ is not a table of strings")
    return found


def write_safetensors(path: str | Path, tensors: Iterable[tuple[str, TensorInfo]],
                      content: Callable[[str], bytes | bytearray], metadata: Mapping[str, str] = TORCH_ORDER,
                      check: Callable[[Path], None] = lambda written: None,
                      progress: Callable[[Iterable], Iterable] = iter) -> None:
    """Write `tensors` to `path`, one at a time, so that the largest is all that need be in memory.

    `content(name)` gives a tensor's bytes, row by row and little-endian. Wider dtypes come first, otherwise the order
    is kept, so every tensor is aligned. `check` is called with the finished file before it takes its name; `progress`
    wraps the loop over the tensors, as tqdm does. The file appears whole or not at all; an existing one is replaced.
    Raises OutputError, and lets exceptions of `content` and `check` pass.
    """
    ordered = sorted(tensors, key=lambda item: -DTYPES[item[1].dtype].itemsize)
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, info in ordered:
        begin, end = end, end + info.nbytes
        header[name] = {"dtype": info.dtype, "shape": list(info.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with whole_file(Path(path), check) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, info in progress(ordered):
            written = file.write(content(name))     # the bytes are not kept while the next are made
            assert written == info.nbytes, name


@contextmanager
def whole_file(path: Path, check: Callable[[Path], None] = lambda written: None) -> Iterator[BinaryIO]:
    """A binary file to write that becomes `path` only when the block ends well; otherwise nothing is left of it."""
    if path.is_dir():
        raise OutputError(f"{path} cannot be written: it is a folder.")
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        check(part)
        os.replace(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(f"{path} cannot be written: {error.strerror or error}.") from error
        raise
