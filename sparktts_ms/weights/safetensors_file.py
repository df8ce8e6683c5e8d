"""Weight files in the safetensors format: memory-mapped reader, streaming writer.

The library's `safe_open` validates the header and gives names, dtypes and shapes. Tensors are
mapped here because its NumPy reader has no bfloat16 and copies every tensor, and written here
because its writer keeps all of them in memory. Format: github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from mmap import mmap
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from safetensors import SafetensorError, safe_open

from sparktts_ms.errors import WeightsError, one_line, quoted
from sparktts_ms.files import atomic_write
from sparktts_ms.weights.memory import add_mapped

DTYPES = {
    "BOOL": np.dtype("?"), "U8": np.dtype("u1"), "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"), "I16": np.dtype("<i2"), "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"), "U64": np.dtype("<u8"), "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8"),
    # NumPy has none of these: their bits.
    "F8_E4M3": np.dtype("u1"), "F8_E5M2": np.dtype("u1"), "BF16": np.dtype("<u2"),
}
# Types whose bits are the upper half of a wider one.
WIDER_DTYPES = {"F8_E5M2": (np.uint16, np.float16), "BF16": (np.uint32, np.float32)}
FLOAT_HINT = "Take or save the weights in float32, float16 or bfloat16."
MAX_DIMENSIONS = 32     # of a NumPy array
MAX_BYTES = 1 << 62


class UnsupportedDtype(ValueError):
    """A tensor of a sound file whose dtype is not among DTYPES."""


class TensorInfo(NamedTuple):
    """Dtype, by its name in safetensors ("F32", "BF16", ...), and shape of a tensor."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


class WeightsFile:
    """A weights file mapped read-only; subclasses find the tensors. Raises WeightsError.

    `read` gives views of the mapping and takes no memory of its own; `read_bytes` reads from the
    file, so that only what it returns stays in memory.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.info: dict[str, TensorInfo] = {}
        self.metadata: dict[str, str] = {}
        self._starts: dict[str, int] = {}       # first byte of each tensor
        read_start(path, 1)
        try:
            mapped = np.memmap(path, np.uint8, "r")
            add_mapped(cast(mmap, mapped.base))
            self._map = np.asarray(mapped)
            self._find_tensors()
        except UnsupportedDtype as error:
            raise self._error(str(error), FLOAT_HINT) from None
        except (OSError, ValueError) as error:
            raise self._error(f"cannot be read: {error}") from error

    @property
    def paths(self) -> list[Path]:
        """The files that hold names and tensors."""
        return [self.path]

    def _find_tensors(self) -> None:
        """Fill `info` and `_starts`. Raises ValueError, OSError or WeightsError."""
        raise NotImplementedError

    def _error(self, problem: str, hint: str = "Download it again.") -> WeightsError:
        reason = one_line(" ".join(problem.split()), 240).rstrip(".").replace("{subject}", "")
        return WeightsError(f"{{subject}} {reason}.", hint, subject=self.path)

    def _info(self, name: str) -> TensorInfo:
        if name not in self.info:
            raise self._error(f"has no tensor {quoted(name)}")
        return self.info[name]

    def shares(self, name: str, other: str) -> bool:
        """Whether two tensors are the same bytes of the file, as tied weights in `.bin` files."""
        return self._info(name) == self._info(other) and self._starts[name] == self._starts[other]

    def read(self, name: str) -> np.ndarray:
        """The tensor in its own dtype and shape; BF16 as float32, F8_E4M3 and F8_E5M2 as float16,
        exactly.

        A read-only view of the file unless alignment, strides or dtype need a copy.
        """
        stored = self._view(name)
        if self.info[name].dtype == "F8_E4M3":
            return E4M3_VALUES[stored]
        if self.info[name].dtype not in WIDER_DTYPES:
            return stored
        bits, dtype = WIDER_DTYPES[self.info[name].dtype]
        wide = stored.reshape(-1).astype(bits)
        wide <<= 8 * stored.itemsize
        return wide.view(dtype).reshape(stored.shape)

    def read_bytes(self, name: str) -> np.ndarray:
        """The tensor's bytes [N] as stored: uint8, C-contiguous, little-endian."""
        # not a bytearray, which is filled with zeros before; np.fromfile takes longer too
        data = np.empty(self._info(name).nbytes, np.uint8)
        try:
            with self.path.open("rb") as file:
                file.seek(self._starts[name])
                count = file.readinto(data.data)
        except OSError as error:
            raise self._error(f"cannot be read: {error}") from error
        if count != len(data):
            raise self._error("became shorter while it was read")
        return data

    def _view(self, name: str) -> np.ndarray:
        """The tensor as stored, where possible without a copy."""
        info = self._info(name)
        start = self._starts[name]
        flat = self._map[start:start + info.nbytes].view(DTYPES[info.dtype])
        return (flat if flat.flags.aligned else flat.copy()).reshape(info.shape)


def read_start(path: str | Path, size: int) -> bytes:
    """The first bytes of a file. Raises WeightsError if there is no such file."""
    if not os.path.isfile(path):                # opening a pipe would block
        raise WeightsError("There is no file {subject}.", subject=path)
    try:
        with Path(path).open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise WeightsError(f"{{subject}} cannot be read: {error}.", subject=path) from error


class SafetensorsFile(WeightsFile):
    """A safetensors file; `info` and `metadata` are known after opening."""

    def _find_tensors(self) -> None:
        try:
            with safe_open(self.path, "np") as file:
                self.metadata = file.metadata() or {}
                # The library has checked that tensors follow each other without gaps.
                start = 8 + struct.unpack("<Q", self._map[:8].tobytes())[0]
                for name in file.offset_keys():
                    tensor = file.get_slice(name)
                    info = tensor_info(name, tensor.get_dtype(), tensor.get_shape())
                    self.info[name] = info
                    self._starts[name] = start
                    start += info.nbytes
        except SafetensorError as error:
            raise self._error(f"is no safetensors file, or damaged: {error}") from error


def tensor_info(name: str, dtype: str, shape: Iterable[int]) -> TensorInfo:
    """TensorInfo of what a file says. Raises ValueError where NumPy has no such array."""
    sizes = tuple(shape)
    if dtype not in DTYPES:
        raise UnsupportedDtype(f"has {quoted(name)} of dtype {dtype}, which is not supported")
    if len(sizes) > MAX_DIMENSIONS or not all(type(n) is int and 0 <= n < MAX_BYTES for n in sizes):
        raise ValueError(f"{name[:80]!r} has a shape that no array can have")
    if math.prod(max(size, 1) for size in sizes) * DTYPES[dtype].itemsize > MAX_BYTES:
        raise ValueError(f"{name[:80]!r} is larger than any memory")
    return TensorInfo(dtype, sizes)


def _e4m3_values() -> np.ndarray:
    """The numbers of the 256 codes of F8_E4M3 as float16 [256]: a sign, 4 bits of exponent (bias
    7), 3 of mantissa; no infinities. Source: arXiv 2209.05433."""
    codes = np.arange(256)
    exponent = codes >> 3 & 15
    fraction = (codes & 7) / 8
    values = np.where(exponent, 2.0 ** (exponent - 7) * (1 + fraction), 2.0**-6 * fraction)
    values[codes & 127 == 127] = np.nan
    return np.where(codes & 128, -values, values).astype(np.float16)


E4M3_VALUES = _e4m3_values()


def write_safetensors(
    path: str | Path,
    tensors: Iterable[tuple[str, TensorInfo]],
    read_bytes: Callable[[str], bytes | memoryview],
    metadata: Mapping[str, str] | None = None,
    verify: Callable[[Path], None] = lambda written: None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> None:
    """Write a file one tensor at a time; it appears complete or not at all. Raises OutputError.

    read_bytes: gives a tensor's elements, C-contiguous and little-endian, by its name.
    metadata: {"format": "pt"}, which other readers expect, if not given.
    verify: called with the finished file before it takes its name; may raise.
    progress: wraps the loop over the tensors, as tqdm does.
    """
    # Wider dtypes first, so that every tensor is aligned.
    ordered = sorted(tensors, key=lambda item: -DTYPES[item[1].dtype].itemsize)
    header: dict[str, object] = {"__metadata__": dict(metadata or {"format": "pt"})}
    end = 0
    for name, info in ordered:
        offsets = [end, end + info.nbytes]
        header[name] = {"dtype": info.dtype, "shape": list(info.shape), "data_offsets": offsets}
        end += info.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with atomic_write(path, overwrite=True) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, info in progress(ordered):
            size = file.write(read_bytes(name))
            assert size == info.nbytes, name
        file.flush()
        os.fsync(file.fileno())
        verify(Path(file.name))
