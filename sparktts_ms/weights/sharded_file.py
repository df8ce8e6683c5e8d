"""Weights in several files with an index, `model.safetensors.index.json` or that of `.bin` files.

Format: transformers' `save_pretrained` with `max_shard_size`: {"weight_map": {tensor: file}}.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from sparktts_ms.errors import WeightsError, quoted
from sparktts_ms.files import read_mapping
from sparktts_ms.weights.safetensors_file import TensorInfo, WeightsFile

MAX_INDEX_BYTES = 16 << 20
MAX_SHARDS = 1000


class ShardedFile(WeightsFile):
    """All tensors of the shards that an index names. Raises WeightsError.

    Each tensor is in the shard that the index says, and in no other; every shard is a file beside
    the index. Tensors of the shards that the index leaves out are there, too.
    """

    def __init__(self, path: str | Path, open_shard: Callable[[Path], WeightsFile]):
        self.path = Path(path)
        self.info: dict[str, TensorInfo] = {}
        self.metadata: dict[str, str] = {}
        self._shards: dict[str, WeightsFile] = {}       # tensor -> its shard
        shards = {}
        weight_map = self._read_index()
        for file_name in sorted(set(weight_map.values())):
            shard_path = self.path.parent / file_name
            if not shard_path.exists():
                raise WeightsError(f"{{subject}} names {quoted(file_name)}, which is missing.",
                                   "Download or copy all files of the model.", subject=path)
            shards[file_name] = open_shard(shard_path)
        for file_name, shard in shards.items():
            self.metadata.update(shard.metadata)
            for name, info in shard.info.items():
                if name in self.info:
                    other = self._shards[name].path.name
                    raise WeightsError(f"{{subject}}: {quoted(name)} is in {other} and in "
                                       f"{file_name}.", "Save the model again.", subject=path)
                self.info[name] = info
                self._shards[name] = shard
        for name, file_name in weight_map.items():
            if name not in shards[file_name].info:
                raise WeightsError(f"{{subject}}: {file_name} lacks the tensor {quoted(name)}.",
                                   "Download or copy all files of the model.", subject=path)

    @property
    def paths(self) -> list[Path]:
        shards = {shard.path for shard in self._shards.values()}
        return [self.path, *sorted(shards)]

    def read(self, name: str) -> np.ndarray:
        return self._shard(name).read(name)

    def read_bytes(self, name: str) -> np.ndarray:
        return self._shard(name).read_bytes(name)

    def shares(self, name: str, other: str) -> bool:
        shard = self._shard(name)
        return shard is self._shard(other) and shard.shares(name, other)

    def _shard(self, name: str) -> WeightsFile:
        self._info(name)
        return self._shards[name]

    def _read_index(self) -> dict[str, str]:
        """The index: tensor -> name of a file beside it."""
        weight_map = read_mapping(self.path, WeightsError, "Download the model again.",
                                  MAX_INDEX_BYTES).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise WeightsError("{subject} has no weight_map.", "Save or download the model again.",
                               subject=self.path)
        files = set()
        for value in weight_map.values():
            if not isinstance(value, str) or not _is_plain_name(value):
                raise WeightsError(f"{{subject}} names {quoted(value)}, which is no file beside "
                                   "it.", "Save or download the model again.", subject=self.path)
            files.add(value)
        if len(files) > MAX_SHARDS:
            raise WeightsError(f"{{subject}} names more than {MAX_SHARDS} files.",
                               subject=self.path)
        return weight_map


def _is_plain_name(name: str) -> bool:
    """Whether a name stays in the folder: no separators, no `..`, nothing unprintable."""
    return (name not in ("", ".", "..") and name.isprintable() and len(name) < 256
            and not set(name) & set("/\\:"))
