"""Weights arrive whole or not at all: a view of a weights file from which networks take what they are made of.

A network's constructor asks for each tensor by its name in the checkpoint, with the shape it must have. At the end
`finish` checks that every tensor found exactly one home, or stands in the table of what is left out on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sparktts_ms.errors import WeightsError
from sparktts_ms.weights.open import open_weights


class WeightSource:
    """Tensors of one file below a name prefix. Views share the record of what has been taken."""

    def __init__(self, path: Path, renames: dict[str, str] | None = None):
        self.path, self.prefix = path, ""
        self.file = open_weights(path)
        self.taken: set[str] = set()
        renames = renames or {}
        self.stored_as = {renames.get(name, name): name for name in self.file.info}

    def at(self, prefix: str) -> WeightSource:
        """The tensors whose names begin with `prefix` and a dot, without it."""
        view = object.__new__(WeightSource)
        view.__dict__.update(self.__dict__, prefix=f"{self.prefix}{prefix}.")
        return view

    def has(self, name: str) -> bool:
        return self.prefix + name in self.stored_as

    def take(self, name: str, *shape: int) -> np.ndarray:
        """The tensor as float32, in memory of its own. Raises WeightsError if it is missing, has another shape, or is no
        float."""
        stored = self._claim(name, shape)
        info = self.file.info[stored]
        if info.dtype == "F32":
            # Read, not mapped: pages of a mapping would count as memory beside the copy that networks make.
            return np.frombuffer(self.file.raw(stored), np.float32).reshape(shape)
        return np.array(self.file.read(stored), dtype=np.float32)

    def take_mapped(self, name: str, *shape: int) -> np.ndarray:
        """Like `take`, but a read-only view of the file: for a table of which few rows are ever read."""
        return np.asarray(self.file.read(self._claim(name, shape)), dtype=np.float32)

    def _claim(self, name: str, shape: tuple[int, ...]) -> str:
        """Note that the tensor has found its home; returns the name it is stored under."""
        name = self.prefix + name
        if name not in self.stored_as:
            raise WeightsError(f"{self.path} lacks the tensor {name}; download or convert it again.")
        if name in self.taken:
            raise AssertionError(f"{name} has two homes")
        info = self.file.info[self.stored_as[name]]
        if info.shape != shape:
            raise WeightsError(f"{self.path}: {name} has shape {list(info.shape)}, its config asks for {list(shape)}.")
        if info.dtype not in ("F32", "F16", "BF16", "F8_E5M2", "F64"):
            raise WeightsError(f"{self.path}: {name} is of type {info.dtype}, no float.")
        self.taken.add(name)
        return self.stored_as[name]

    def finish(self, left_out: Iterable[str] = ()) -> None:
        """Every tensor must have been taken or match one of the patterns `left_out` (regular expressions)."""
        patterns = [re.compile(pattern) for pattern in left_out]
        extra = [name for name in self.stored_as if name not in self.taken
                 and not any(pattern.fullmatch(name) for pattern in patterns)]
        if extra:
            more = f" and {len(extra) - 1} more" if len(extra) > 1 else ""
            raise WeightsError(f"{self.path} holds a tensor that has no place in this model: {sorted(extra)[0]}{more}.")
