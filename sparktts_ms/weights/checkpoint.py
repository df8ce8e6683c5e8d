"""A checkpoint, from which networks take their weights: all of them, each once, each of its shape.

A network's constructor takes each tensor by its name in the checkpoint, with the shape it must
have. `finish` then checks that no tensor is left but those that are ignored on purpose.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from sparktts_ms.errors import ModelError, WeightsError
from sparktts_ms.weights.safetensors_file import SafetensorsFile, read_start
from sparktts_ms.weights.torch_file import TorchFile

FLOATS = ("F64", "F32", "F16", "BF16", "F8_E5M2")


class Checkpoint:
    """The tensors of a weights file below a name prefix. Views share what has been taken.

    renames: {name in the file: name to take it by}, for files with other names.
    Raises WeightsError if the file is missing or damaged.
    """

    def __init__(self, path: str | Path, renames: dict[str, str] | None = None):
        self.path = Path(path)
        self.prefix = ""
        self.file = open_weights(path)
        self.taken: set[str] = set()
        renames = renames or {}
        self.stored_names = {renames.get(name, name): name for name in self.file.info}

    def at(self, prefix: str) -> Checkpoint:
        """The tensors whose names begin with `prefix` and a dot, without it."""
        view = copy.copy(self)
        view.prefix = f"{self.prefix}{prefix}."
        return view

    def take(self, name: str, *shape: int) -> np.ndarray:
        """The tensor as float32, in memory of its own.

        Raises WeightsError if it is missing, has another shape, or is no float.
        """
        stored = self._take(name, shape)
        if self.file.info[stored].dtype == "F32":
            # Read, not mapped: pages of a mapping would count as memory beside networks' copies.
            return self.file.read_bytes(stored).view(np.float32).reshape(shape)
        return np.array(self.file.read(stored), dtype=np.float32)

    def take_view(self, name: str, *shape: int) -> np.ndarray:
        """Like `take`, but a read-only view of the file: for a table of which few rows are read."""
        return np.asarray(self.file.read(self._take(name, shape)), dtype=np.float32)

    def finish(self, ignored: Iterable[str] = ()) -> None:
        """Raise WeightsError unless each tensor was taken or matches a regular expression."""
        patterns = [re.compile(pattern) for pattern in ignored]
        unused = []
        for name in self.stored_names:
            if name not in self.taken and not any(p.fullmatch(name) for p in patterns):
                unused.append(name)
        if unused:
            others = f" and {len(unused) - 1} more" if len(unused) > 1 else ""
            raise WeightsError("{subject} has a tensor that is not part of this model: "
                               f"{min(unused)}{others}.", subject=self.path)

    def _take(self, name: str, shape: tuple[int, ...]) -> str:
        """Mark the tensor as taken; returns its name in the file."""
        name = self.prefix + name
        if name not in self.stored_names:
            raise WeightsError(f"{{subject}} lacks the tensor {name}.",
                               "Download or convert it again.", subject=self.path)
        assert name not in self.taken, f"{name} is taken twice"
        info = self.file.info[self.stored_names[name]]
        if info.shape != shape:
            raise WeightsError(f"{{subject}}: {name} has shape {list(info.shape)}, the model's "
                               f"configuration asks for {list(shape)}.", subject=self.path)
        if info.dtype not in FLOATS:
            raise WeightsError(f"{{subject}}: {name} has dtype {info.dtype}, which is no float.",
                               subject=self.path)
        self.taken.add(name)
        return self.stored_names[name]


def find_weights(folder: str | Path) -> Path:
    """model.safetensors in the folder of a model, or else pytorch_model.bin. Raises ModelError."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        path = Path(folder) / name
        if path.is_file():
            return path
    raise ModelError("{subject} has neither model.safetensors nor pytorch_model.bin.",
                     "Download the model again.", subject=folder)


def open_weights(path: str | Path) -> SafetensorsFile | TorchFile:
    """Open a weights file by its first bytes, whatever its name. Raises WeightsError."""
    head = read_start(path, 32)
    if head.startswith(b"PK"):
        return TorchFile(path)
    if head[8:9] == b"{":
        return SafetensorsFile(path)
    if head.startswith(b"\x80"):            # a pickle
        return TorchFile(path)
    if head.startswith(b"version https://git-lfs"):
        raise WeightsError("{subject} is a git-lfs pointer, not the weights.",
                           "Get them with `git lfs pull`.", subject=path)
    raise WeightsError("{subject} is neither a safetensors file nor one of torch.save.",
                       "Download it again.", subject=path)


def fuse_weight_norm(
    weights: Checkpoint, *shape: int, gain_axes: Sequence[int] = (0,)
) -> np.ndarray:
    """w = g v / ||v|| of the pair `weight_g`, `weight_v`; the norm is over all but `gain_axes`.

    Axis 0 of a transposed convolution is the input channel; wav2vec2's positional convolution has
    its gains on axis 2.
    """
    gain_shape = tuple(size if axis in gain_axes else 1 for axis, size in enumerate(shape))
    direction = weights.take("weight_v", *shape)
    norm_axes = tuple(axis for axis in range(len(shape)) if axis not in gain_axes)
    squares = np.square(direction, dtype=np.float64).sum(axis=norm_axes, keepdims=True)
    gain = weights.take("weight_g", *gain_shape) / np.sqrt(squares)
    return (direction * gain).astype(np.float32)


def fuse_batch_norm(
    weights: Checkpoint, channels: int, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift [C] of a batch norm at inference: y = x scale + shift."""
    scale = weights.take("weight", channels)
    scale = scale / np.sqrt(weights.take("running_var", channels) + eps)
    return scale, weights.take("bias", channels) - weights.take("running_mean", channels) * scale
