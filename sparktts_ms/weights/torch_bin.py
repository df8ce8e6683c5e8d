"""Weight files of torch.save, read without torch and without running anything that they contain.

Both formats are pickles that describe tensors, plus the bytes of their storages: the zip archive of torch >= 1.6
(`NAME/data.pkl`, `NAME/data/KEY`), and the older stream (magic number, protocol, system, object, storage keys, then
for each key its number of elements and its bytes). Source: pytorch/pytorch `torch/serialization.py`.
"""

from __future__ import annotations

import struct
from typing import Any

from sparktts_ms.errors import WeightsError
from sparktts_ms.weights.safetensors_file import DTYPES, MappedWeights, Place
from sparktts_ms.weights.tensor_pickle import Storage, TensorPickle, TensorView, state_dict
from sparktts_ms.weights.zip_members import zip_members

LEGACY_MAGIC, LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
MAX_PICKLE = 64 << 20       # bytes of it; a tensor takes about 100
SMALL = 16 << 20            # bytes; up to this a view may repeat elements and so exceed its file


class TorchBin(MappedWeights):
    """A file of torch.save in either format. Opening reads the table of tensors only; WeightsError when it is damaged,
    asks for anything but tensors, or was saved on a big-endian machine."""

    def _find_tensors(self) -> None:
        try:
            zipped = self._map[:2] == b"PK"
            tensors, storage_starts = self._open_zip() if zipped else self._open_legacy()
            for name, tensor in tensors.items():
                self._add(name, tensor, storage_starts[tensor.storage.key])
        except ValueError as error:
            raise WeightsError(f"{self.path} cannot be trusted: {error}.") from error
        except (LookupError, OverflowError, struct.error) as error:
            raise WeightsError(f"{self.path} is damaged: its tables do not fit together.") from error

    def _add(self, name: str, tensor: TensorView, storage_start: int) -> None:
        if tensor.info.nbytes > max(len(self._map), SMALL):
            raise ValueError(f"{name[:80]!r} repeats elements until it is larger than the file")
        start = storage_start + tensor.offset * DTYPES[tensor.info.dtype].itemsize
        gapless, count = True, 1
        for size, stride in zip(reversed(tensor.info.shape), reversed(tensor.strides), strict=True):
            gapless, count = gapless and (size == 1 or stride == count), count * size
        self.info[name] = tensor.info
        self._places[name] = Place(start, None if gapless or not tensor.info.nbytes else tensor.strides)

    def _open_zip(self) -> tuple[dict[str, TensorView], dict[str, int]]:
        members = zip_members(self._map)
        pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError("it is a zip archive, but not one of torch.save")
        folder = pickles[0].removesuffix("data.pkl")
        start, size = members.get(f"{folder}byteorder", (0, 0))
        if self._map[start:start + min(size, 9)] not in (b"", b"little"):
            raise ValueError("its byte order is not little-endian; save it again on an ordinary machine")
        start, size = members[pickles[0]]
        pickle = TensorPickle(self._map, start, start + min(size, MAX_PICKLE))
        tensors, storage_starts = state_dict(pickle.load()), {}
        for key, storage in pickle.storages.items():
            storage_starts[key], size = members[f"{folder}data/{key}"]
            if size != storage.nbytes:
                raise ValueError(f"storage {key[:40]!r} has {size} bytes instead of {storage.nbytes}")
        return tensors, storage_starts

    def _open_legacy(self) -> tuple[dict[str, TensorView], dict[str, int]]:
        position, size = 0, len(self._map)
        values: list[Any] = []
        storages: dict[str, Storage] = {}
        for _ in ("magic number", "protocol", "system", "object", "storage keys"):
            pickle = TensorPickle(self._map, position, min(size, position + MAX_PICKLE), storages)
            values.append(pickle.load())
            position = pickle.position
            if values[0] != LEGACY_MAGIC:
                raise ValueError("it is a pickle, but not one of torch.save")
        _, protocol, system, saved, keys = values
        if protocol != LEGACY_PROTOCOL or type(system) is not dict or system.get("little_endian") is not True:
            raise ValueError("it was not saved by a known torch on a little-endian machine")
        tensors = state_dict(saved)
        if type(keys) is not list or not all(type(key) is str for key in keys) or sorted(keys) != sorted(storages):
            raise ValueError("its storages are not those that its tensors need")
        starts = {}
        for key in keys:
            (count,) = struct.unpack("<q", self._map[position:position + 8])
            starts[key], position = position + 8, position + 8 + storages[key].nbytes
            if count != storages[key].count or position > size:
                raise ValueError(f"storage {key[:40]!r} is cut short or has another size than its tensors say")
        return tensors, starts
