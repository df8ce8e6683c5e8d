"""Weights arrive whole or not at all: a view of a weights file from which networks take what they are made of.

A network's constructor asks for each tensor by its name in the checkpoint, with the shape it must have. At the end
`finish` checks that every tensor found exactly one home, or stands in the table of what is left out on purpose.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from sparktts_ms.errors import ModelError, WeightsError
from sparktts_ms.weights.safetensors_file import SafetensorsFile
from sparktts_ms.weights.torch_bin import TorchBin


class Checkpoint:
    """Tensors of one file below a name prefix. Views share the record of what has been taken."""

    def __init__(self, path: Path, renames: dict[str, str] | None = None):
        self.path, self.prefix = path, ""
        self.file = open_weights(path)
        self.taken: set[str] = set()
        renames = renames or {}
        self.stored_as = {renames.get(name, name): name for name in self.file.info}

    def at(self, prefix: str) -> Checkpoint:
        """The tensors whose names begin with `prefix` and a dot, without it."""
        view = object.__new__(Checkpoint)
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

    def take_view(self, name: str, *shape: int) -> np.ndarray:
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


def find_weights(folder: str | Path) -> Path:
    """The weight file of a model folder: model.safetensors, or else pytorch_model.bin. Raises ModelError."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if os.path.isfile(path := Path(folder) / name):
            return path
    raise ModelError(f"{folder} holds neither model.safetensors nor pytorch_model.bin; get the model with "
                     "`python -m cli.download`, or make model.safetensors with `python convert.py`.")


def open_weights(path: str | Path) -> SafetensorsFile | TorchBin:
    """Open a weight file with the reader that its first bytes ask for, whatever its name. Raises WeightsError."""
    if not os.path.isfile(path):
        raise WeightsError(f"There is no file {path}.")
    try:
        with Path(path).open("rb") as file:
            head = file.read(32)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error}.") from error
    if head.startswith(b"PK"):
        return TorchBin(path)
    if head[8:9] == b"{":
        return SafetensorsFile(path)
    if head.startswith(b"\x80"):            # how every pickle begins
        return TorchBin(path)
    if head.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a git-lfs pointer, not the weights; fetch them with `git lfs pull`.")
    raise WeightsError(f"{path} is neither a safetensors file nor one of torch.save, or its download was cut short.")


def fuse_weight_norm(source: Checkpoint, *shape: int, gain_axes: Sequence[int] = (0,)) -> np.ndarray:
    """w = g v / ||v|| of the pair `weight_g`, `weight_v`; the norm runs over every axis but `gain_axes`.

    For a transposed convolution axis 0 is the input channel; wav2vec2's positional convolution keeps axis 2.
    """
    gains = tuple(size if axis in gain_axes else 1 for axis, size in enumerate(shape))
    direction = source.take("weight_v", *shape)
    length = np.sqrt(np.square(direction, dtype=np.float64).sum(
        axis=tuple(a for a in range(len(shape)) if a not in gain_axes), keepdims=True))
    return (direction * (source.take("weight_g", *gains) / length)).astype(np.float32)


def fuse_batch_norm(source: Checkpoint, channels: int, eps: float = 1e-5) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift [C] of a batch norm in inference: y = x scale + shift."""
    scale = source.take("weight", channels) / np.sqrt(source.take("running_var", channels) + eps)
    return scale, source.take("bias", channels) - source.take("running_mean", channels) * scale
